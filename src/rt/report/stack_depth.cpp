#include "rt/report/stack_depth.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/check.hpp"
#include "base/cpu.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/report/debug_options.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/stack/stack.hpp"
#include "sys/backtrace.hpp"
#include "sys/lock.hpp"
#include "sys/memory.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

bool measuring = false;  ///< written once, before the first goroutine

struct bounds {
    char* low;  ///< above the guard
    char* top;

    bounds(char* stack_top, unsigned cls) noexcept : low(stack_top - usable_stack_bytes(cls)), top(stack_top) {}
};

char* page_of(char* at) noexcept
{
    return at - reinterpret_cast<std::uintptr_t>(at) % base::page_size;
}

/// A place where goroutines are started, with stacks of one size.
struct place_of_start {
    const void* started_at = nullptr;
    unsigned cls = 0;
    std::uint64_t count = 0;
    std::size_t deepest = 0;

    [[nodiscard]] std::size_t limit() const noexcept { return usable_stack_bytes(cls); }
};

class depth_table {
public:
    void note(const void* started_at, unsigned cls, std::size_t depth) noexcept
    {
        const auto end = places_.begin() + static_cast<std::ptrdiff_t>(used_);
        auto at = std::find_if(places_.begin(), end,
                               [&](const place_of_start& p) { return p.started_at == started_at && p.cls == cls; });
        if (at == end) {
            if (used_ == places_.size()) {
                ++left_out_;
                return;
            }
            ++used_;
            *at = {started_at, cls};
        }
        ++at->count;
        at->deepest = std::max(at->deepest, depth);
    }
    void print(base::printer& out);

private:
    std::array<place_of_start, 256> places_{};
    std::size_t used_ = 0;
    std::uint64_t left_out_ = 0;
};

void depth_table::print(base::printer& out)
{
    const auto end = places_.begin() + static_cast<std::ptrdiff_t>(used_);
    const auto share = [](const place_of_start& p)
    { return static_cast<double>(p.deepest) / static_cast<double>(p.limit()); };
    std::sort(places_.begin(), end,
              [&](const place_of_start& a, const place_of_start& b) { return share(a) > share(b); });
    out.print("\nweft: stacks, by where their goroutines were started:\n");
    constexpr std::size_t kib = 1'024;
    for (const place_of_start& p : places_) {
        if (p.count == 0)
            break;
        out.print("  at most %zu of %zu KiB used by %llu goroutine%s%s\n", (p.deepest + kib - 1) / kib, p.limit() / kib,
                  static_cast<unsigned long long>(p.count), p.count == 1 ? "" : "s",
                  p.deepest > p.limit() / 4 * 3 ? "; more than 3/4 of what there is: a larger attr::stack_size is safer"
                                                : "");
        sys::print_origin(out, p.started_at);
    }
    if (left_out_ != 0)
        out.print("  %llu goroutines of other places are left out\n", static_cast<unsigned long long>(left_out_));
}

sys::lock_word lock;
constinit depth_table ended;  // guarded by lock

/// From outside: the goroutine may run, or end, meanwhile.
__attribute__((no_sanitize("thread"))) void note_living(g& item, void* argument) noexcept
{
    if (item.state.load(base::memory_order_relaxed) == g_state::dead ||
        (item.flags & (g::a_thread | g::no_stack)) != 0 || item.stack_top == nullptr)
        return;
    const unsigned cls = item.stack_class;
    const bounds stack(item.stack_top, cls);
    if (char* const touched = sys::first_touched(stack.low, stack.top); touched != nullptr)
        static_cast<depth_table*>(argument)->note(item.started_at, cls, static_cast<std::size_t>(stack.top - touched));
}

/// The lowest byte of a touched page that is not zero; its first one if all are.
__attribute__((no_sanitize("address", "thread"))) char* lowest_in(char* page) noexcept
{
    for (const volatile char* at = page; at != page + base::page_size; ++at)
        if (*at != 0)
            return page + (at - page);
    return page;
}

/// On the goroutine's own stack, near its top, around all that its function does.
class measure {
public:
    explicit measure(const g& item) noexcept
        : started_at_(item.started_at), cls_(item.stack_class), stack_(item.stack_top, item.stack_class)
    {
    }
    measure(const measure&) = delete;
    measure& operator=(const measure&) = delete;
    /// The goroutine may be unwinding (exit_goroutine), and its control block may be another one's already.
    __attribute__((noinline)) ~measure()
    {
        constexpr std::size_t frames = 2'048;  // of what is called here
        char* const here = static_cast<char*>(__builtin_frame_address(0));
        char* const end = page_of(here - std::min(frames, static_cast<std::size_t>(here - stack_.low)));
        char* const touched = sys::first_touched(stack_.low, page_of(here));
        if (touched == nullptr)
            return;
        char* const lowest = touched == page_of(here) ? here : lowest_in(touched);
        if (touched < end)
            sys::discard(touched, static_cast<std::size_t>(end - touched));
        lock.lock();
        ended.note(started_at_, cls_, static_cast<std::size_t>(stack_.top - lowest));
        lock.unlock();
    }

private:
    const void* started_at_;
    unsigned cls_;
    bounds stack_;
};

void run_measured(void* storage)
{
    const g& me = *g::of_storage(storage);
    const detail::task_body body = me.extra->measured;
    const measure until_end(me);
    body(storage);
}

void print_at_exit() noexcept
{
    base::printer out(2);  // stderr
    try {
        print_depths(out);
    } catch (const std::bad_alloc&) {
        out.print("weft: no memory for the report of WEFT_DEBUG=stacks\n");
    }
}

}  // namespace

void start_measuring_depth() noexcept
{
    if (!debugging().stacks)
        return;
    if (sys::first_touched(page_of(static_cast<char*>(__builtin_frame_address(0))),
                           page_of(static_cast<char*>(__builtin_frame_address(0))) + base::page_size) == nullptr) {
        base::report("weft: WEFT_DEBUG=stacks needs /proc/self/pagemap, which can't be read here: going on without\n");
        return;
    }
    measuring = true;
    sched.start_hooks.fetch_add(1, base::memory_order_relaxed);
    std::atexit(&print_at_exit);
}

detail::task_body measure_depth(g& item, detail::task_body body)
{
    if (!measuring)
        return body;
    if (item.extra == nullptr)
        item.extra = new g_extra;
    item.extra->measured = body;
    return &run_measured;
}

void print_depths(base::printer& out)
{
    if (!measuring)
        return;
    const auto all = std::make_unique<depth_table>();
    lock.lock();
    *all = ended;
    lock.unlock();
    for_each_g(&note_living, all.get());
    all->print(out);
}

__attribute__((noinline)) std::size_t stack_remaining() noexcept
{
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    std::uintptr_t low = 0;
    std::uintptr_t high = 0;
    if (const m* const self = this_m(); self != nullptr && self->current != nullptr) {
        const g& me = *self->current;
        const bounds stack(me.stack_top, me.stack_class);
        low = reinterpret_cast<std::uintptr_t>(stack.low);
        high = reinterpret_cast<std::uintptr_t>(stack.top);
    } else {
        const sys::stack_bounds own = sys::this_stack();
        low = reinterpret_cast<std::uintptr_t>(own.low);
        high = low + own.size;
    }
    return here >= low && here < high ? here - low : 0;
}

}  // namespace weft::rt
