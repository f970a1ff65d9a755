#include "model/waist.hpp"

#include "rt/wait/cancel.cpp"
#include "rt/wait/sema.cpp"
#include "rt/wait/sema_wait.cpp"
#include "weft/time.hpp"

namespace weft::model {

namespace {

using status = rt::timer::status;

runtime* the_runtime = nullptr;

}  // namespace

runtime::runtime()
{
    the_runtime = this;
    for (int i = 0; i < max_threads; ++i) {
        name(gs_[static_cast<std::size_t>(i)].awake, "awake of ", i);
        name(contexts_[static_cast<std::size_t>(i)], "context of ", i);
    }
    name(heap_, "heap lock");
    name(armed_, "armed");
}

runtime::~runtime()
{
    the_runtime = nullptr;
}

runtime& runtime::get() noexcept
{
    return *the_runtime;
}

rt::g* runtime::current() noexcept
{
    return &gs_[static_cast<std::size_t>(this_thread())];
}

void runtime::sleep(rt::g* self) noexcept
{
    block_until([self] { return self->awake.load(base::memory_order_acquire) != 0; });
    self->awake.store(0, base::memory_order_relaxed);
}

void runtime::park(rt::g* self, rt::commit_fn commit, void* argument) noexcept
{
    const auto i = static_cast<std::size_t>(thread_of(self));
    parked_[i].set(true);
    contexts_[i].set(1);
    if (commit(self, argument))
        sleep(self);
    else
        parked_[i].set(false);
}

void runtime::ready(rt::g* item) noexcept
{
    const auto i = static_cast<std::size_t>(thread_of(item));
    check(parked_[i].get(), "somebody is readied who is not parked, or twice");
    parked_[i].set(false);
    contexts_[i].set(2);
    item->awake.store(1, base::memory_order_release);
}

bool runtime::park_until(rt::deadline_wait& wait) noexcept
{
    ghost<bool>& expired = expired_[static_cast<std::size_t>(thread_of(wait.waiter))];
    expired.set(false);
    timers_fire ? park_until_fired(wait) : park_until_given_up(wait);
    check(wait.timed_out == expired.get(), "a wait ends by its deadline and says otherwise, or the reverse");
    return !wait.timed_out;
}

/// As sched.cpp has it for goroutines, with the steps of timer.cpp for one timer.
void runtime::park_until_fired(rt::deadline_wait& wait) noexcept
{
    const auto publish_and_arm = [](rt::g*, void* argument) noexcept
    {
        auto& w = *static_cast<rt::deadline_wait*>(argument);
        runtime& self = get();
        self.heap_.acquire();
        const bool published = w.publish(w);
        if (published) {
            w.alarm.state.store(status::armed, base::memory_order_relaxed);
            self.armed_.store(&w, base::memory_order_relaxed);
        }
        self.heap_.release();
        return published;
    };
    park(wait.waiter, publish_and_arm, &wait);
    heap_.acquire();
    if (wait.alarm.state.load(base::memory_order_relaxed) == status::armed) {
        armed_.store(nullptr, base::memory_order_relaxed);
        wait.alarm.state.store(status::idle, base::memory_order_relaxed);
    }
    heap_.release();
    block_until([&wait] { return wait.alarm.state.load(base::memory_order_acquire) == status::idle; });
}

/// As sched.cpp has it for plain threads.
void runtime::park_until_given_up(rt::deadline_wait& wait) noexcept
{
    const auto i = static_cast<std::size_t>(thread_of(wait.waiter));
    parked_[i].set(true);
    contexts_[i].set(1);
    if (!wait.publish(wait)) {
        parked_[i].set(false);
    } else if ((deadlines_pass || choose(2) == 1) && wait.alarm.expire(wait.alarm) != nullptr) {
        expired_[i].set(true);
        parked_[i].set(false);
    } else {
        sleep(wait.waiter);
    }
}

void runtime::fire_timers()
{
    for (;;) {
        rest_until([this] { return armed_.load(base::memory_order_relaxed) != nullptr; });
        heap_.acquire();
        rt::deadline_wait* const expired = armed_.load(base::memory_order_relaxed);
        if (expired != nullptr) {
            armed_.store(nullptr, base::memory_order_relaxed);
            expired->alarm.state.store(status::firing, base::memory_order_relaxed);
        }
        heap_.release();
        if (expired == nullptr)
            continue;
        rt::g* const woken = expired->alarm.expire(expired->alarm);
        expired->alarm.state.store(status::idle, base::memory_order_release);
        if (woken != nullptr) {
            expired_[static_cast<std::size_t>(thread_of(woken))].set(true);
            ready(woken);
        }
    }
}

std::int64_t runtime::now() noexcept
{
    constexpr std::int64_t jump = 2'000'000;  // ns
    if (time_may_jump && now_.get() < jump && choose(2) == 1)
        now_.set(now_.get() + jump);
    return now_.get();
}

}  // namespace weft::model

namespace weft::rt {

g* current()
{
    return model::runtime::get().current();
}

const void* caller() noexcept
{
    return current();
}

void park(g* self, commit_fn commit, void* argument, wait_reason) noexcept
{
    model::runtime::get().park(self, commit, argument);
}

bool park_until(deadline_wait& wait, wait_reason) noexcept
{
    return model::runtime::get().park_until(wait);
}

void ready(g* item) noexcept
{
    model::runtime::get().ready(item);
}

void ready_by_ending(g* item) noexcept
{
    ready(item);
}

void ready(g_list& items) noexcept
{
    while (g* const item = items.pop_front())
        ready(item);
}

constinit const upward_hooks hooks = []
{
    upward_hooks only{};
    only.expect_to_touch = [](const void*) noexcept {};
    return only;
}();

bubble_member* no_explore_points::begin() noexcept
{
    return nullptr;
}

void no_explore_points::end() noexcept {}

const bubble* callers_bubble() noexcept
{
    return nullptr;
}

bool worth_spinning() noexcept
{
    return model::runtime::get().spinning_pays;
}

m* this_m() noexcept
{
    return nullptr;
}

void enter_slow(m&) noexcept {}

bool enter_with_p_slow(m&) noexcept
{
    return true;
}

void park_in_section(m*, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    park(me, commit, argument, why);
}

void park_published(m*, g*, wait_reason) noexcept
{
    model::check(false, "nobody has an M");
}

bool park_until_in_section(m*, deadline_wait& wait, wait_reason why) noexcept
{
    return park_until(wait, why);
}

void ready_in_section(m&, g* item) noexcept
{
    ready(item);
}

std::uint32_t random_below(m*, std::uint32_t n) noexcept
{
    return static_cast<std::uint32_t>(model::choose(static_cast<int>(n)));
}

}  // namespace weft::rt

namespace weft::sys {

std::int64_t monotonic_now() noexcept
{
    return model::runtime::get().now();
}

bool is_static(const void*) noexcept
{
    return false;
}

bool has_membarrier() noexcept
{
    return true;
}

void yield_thread() noexcept
{
    model::yield_hint();
}

}  // namespace weft::sys

weft::clock::time_point weft::clock::now() noexcept
{
    return time_point(duration(sys::monotonic_now()));
}
namespace weft::rt {

constinit thread_local m* current_m = nullptr;

std::int64_t now() noexcept
{
    return sys::monotonic_now();
}

[[noreturn]] void panic(const char* what) noexcept
{
    std::fprintf(stderr, "panic: %s\n", what);
    std::abort();
}

}  // namespace weft::rt

namespace weft::detail {

void explore_point_slow() noexcept {}

bool runtime_stopped() noexcept
{
    return false;
}

}  // namespace weft::detail
