// Misuse that does not compile. Each line that ends in "error: TEXT" is refused with that text, and no other line is.
// test/build/refused.py compiles this file.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <weft/weft.hpp>

namespace {

struct no_move {
    no_move() = default;
    no_move(no_move&&) = delete;
};

[[maybe_unused]] void channels()
{
    const weft::chan<void> of_void;        // error: T must be an object type
    const weft::chan<int&> of_reference;   // error: T must be an object type
    const weft::chan<const int> of_const;  // error: T must be an object type
    const weft::chan<no_move> fixed(1);    // error: T must have a move constructor
}

[[maybe_unused]] void handlers(const weft::chan<int>& c, const weft::context& ctx)
{
    using namespace std::chrono_literals;
    weft::select(weft::on_recv(c, [](int) {}));          // error: takes a std::optional<T>
    weft::select(weft::on_recv(c, [](std::string) {}));  // error: takes a std::optional<T>
    weft::select(weft::on_send(c, 1, [](bool) {}));      // error: the handler of this case takes no argument
    weft::select(weft::on_timeout(1s, [](int) {}));      // error: the handler of this case takes no argument
    weft::select(weft::on_done(ctx, [](int) {}));        // error: the handler of this case takes no argument
    weft::select(weft::on_recv(c), weft::otherwise([] { return 1; }));        // error: its result would be dropped
    weft::select(weft::on_recv(c, [](std::optional<int> v) { return *v; }));  // error: its result would be dropped
    weft::selector().on_recv(c, [](int) {});                                  // error: takes a std::optional<T>
    weft::selector().on_timeout(1s, [] { return 2; });                        // error: its result would be dropped
}

[[maybe_unused]] void kept_cases(const weft::chan<int>& c, const weft::chan<std::unique_ptr<int>>& owners)
{
    auto of_rvalue = weft::on_send(c, 1);
    weft::select(of_rvalue);  // error: an on_send() that is kept in a variable needs a value of its own
    auto of_owner = weft::on_send(owners, nullptr);
    weft::select(of_owner);  // error: an on_send() that is kept in a variable needs a value of its own
    const int one = 1;
    auto of_lvalue = weft::on_send(c, one);
    weft::select(of_lvalue, weft::on_send(c, 2));
}

[[maybe_unused]] void contexts()
{
    weft::context lost = weft::with_cancel(weft::background());  // error: use of deleted function
    const weft::cancel_context kept = weft::with_cancel(lost);
    const weft::context copy = kept;
}

}  // namespace
