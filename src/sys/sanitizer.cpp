#include "sys/sanitizer.hpp"

// The sanitizers' runtimes, where the program is linked with one.
extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __lsan_init();
[[gnu::weak]] void __msan_init();
[[gnu::weak]] void __tsan_init();
}

namespace weft::sys {

const sanitizer_mismatch* sanitizer_of_program_alone() noexcept
{
    // Of leaks alone weft has no build: AddressSanitizer finds them too.
    static constexpr sanitizer_mismatch address{"address", "errors on goroutines' stacks and leaks are missed",
                                                "build weft with -D WEFT_SANITIZE=address"};
    static constexpr sanitizer_mismatch leak{
        "leak", "leaks of goroutines are missed",
        "build the program with -fsanitize=address, and weft with -D WEFT_SANITIZE=address"};
    static constexpr sanitizer_mismatch memory{
        "memory", "expect reports of uninitialized memory that is not",
        "weft does not support it: use -fsanitize=address, and weft with -D WEFT_SANITIZE=address"};
    static constexpr sanitizer_mismatch thread{"thread", "expect reports of data races that are none",
                                               "build weft with -D WEFT_SANITIZE=thread"};
    if (!address_sanitizer && &__asan_init != nullptr)
        return &address;
    if (!address_sanitizer && &__lsan_init != nullptr)
        return &leak;
    if (&__msan_init != nullptr)
        return &memory;
    if (!thread_sanitizer && &__tsan_init != nullptr)
        return &thread;
    return nullptr;
}

}  // namespace weft::sys
