#include "sys/sanitizer.hpp"

// The sanitizers' runtimes, where the program is linked with one.
extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __tsan_init();
}

namespace weft::sys {

const char* sanitizer_of_program_alone() noexcept
{
    if (!address_sanitizer && &__asan_init != nullptr)
        return "address";
    if (!thread_sanitizer && &__tsan_init != nullptr)
        return "thread";
    return nullptr;
}

}  // namespace weft::sys
