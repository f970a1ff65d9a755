// Switching between goroutines and picking the next one.
//
// A goroutine that parks or ends picks its successor itself and switches to it directly; only when its P has no work
// does it go through g0, the M's own stack, where find.cpp looks further. All of that happens inside the M's claim
// (claim.hpp), which begins in the goroutine that leaves and ends in the one that goes on. So a goroutine may stand in
// a run queue while its context is not saved yet: nobody can take it before the claim ends.
//
// A goroutine that waits on something is published to it only by its commit_fn, which runs after the switch, on the
// next stack: from that moment another M may run it.
#include "rt/sched/sched.hpp"

#include <array>
#include <new>
#include <utility>

#include "base/check.hpp"
#include "rt/core/cold.hpp"
#include "rt/core/local.hpp"
#include "rt/report/watch.hpp"
#include "rt/rt.hpp"
#include "rt/sched/retake.hpp"
#include "rt/services/bubble/bubble.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/sanitizer.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

constinit scheduler sched;

namespace {

// So often (ns) the oldest fresh goroutine runs before newer ones. Not by count: each time costs a divided task its
// depth-first order, and with it memory.
constexpr std::int64_t oldest_period = 10'000'000;
// After so long (ns) runnext is passed over once.
constexpr std::int64_t next_slice = 2'000'000;
// A goroutine that runs for less (ns) than its cache lines take to move to another core is better left where it is.
constexpr std::int64_t worth_moving = 300;

[[noreturn]] void goroutine_main(void* argument);

/// Only now, when it has been published: whoever sees it in stats() finds it where it waits. Pairs with stats().
WEFT_ALWAYS_INLINE void count_park(m& self) noexcept
{
    self.proc->parks.add(1, base::memory_order_release);
}

/// Runs what the stack that was left wants done now that nobody stands on it any more.
WEFT_ALWAYS_INLINE void finish_switch(m& self) noexcept
{
    if (commit_fn const commit = self.commit; commit != nullptr) {
        self.commit = nullptr;
        g* const parked = self.committing;
        if (!commit(parked, self.commit_argument)) {
            parked->move_to(g_state::waiting, g_state::runnable);
            push_next(*self.proc, parked);
        } else if (parked != nullptr) {
            count_park(self);
        }
    }
}

/// Gives a goroutine that is to run for the first time its stack.
WEFT_NOINLINE void give_stack_to(p& proc, g* item) noexcept
{
    char* const top = item->stack_class == default_stack_class ? proc.stacks.take() : take_stack(item->stack_class);
    if (top == nullptr)
        base::fatal("goroutine %llu can't get a stack of %zu KiB: %s", static_cast<unsigned long long>(item->id),
                    stack_bytes(item->stack_class) / 1024, stack_shortage());
    item->stack_top = top;
    item->flags &= static_cast<std::uint8_t>(~g::no_stack);
    item->fiber = sys::new_fiber();
    sys::make_context(item->ctx, first_frame(top, item->stack_class), &goroutine_main);
}

/// Flags of a goroutine that can't be switched to as it is.
constexpr std::uint8_t needs_stack = g::no_stack;

/// What `next` lacks before it can be switched to.
WEFT_ALWAYS_INLINE void prepare_run(m& self, g* next) noexcept
{
    if ((next->flags & needs_stack) != 0) [[unlikely]]
        give_stack_to(*self.proc, next);
}

/// Makes `next` the running goroutine of `self`.
WEFT_ALWAYS_INLINE void begin_run(m& self, g* next) noexcept
{
    next->move_to(g_state::runnable, g_state::running);  // W1 of docs/design/hibernation.md
    base::light_compiler_barrier();                      // W2
    if (says_cold(next->why.load(base::memory_order_relaxed))) [[unlikely]]
        thaw(*next);  // W3
    self.current = next;
}

/// The switch itself, once it is settled who runs next (null: g0).
WEFT_ALWAYS_INLINE m* switch_plain(m* self, sys::context* from, g* next) noexcept
{
    const int error = *self->errno_at;
    [[maybe_unused]] void* fake = nullptr;
    const sys::context* to = &self->g0;
    if (next != nullptr) {
        to = &next->ctx;
        sys::before_switch(&fake, next->stack_top - stack_bytes(next->stack_class), stack_bytes(next->stack_class),
                           next->fiber);
    } else {
        sys::before_switch(&fake, self->g0_low, self->g0_size, self->g0_fiber);
    }
    self = static_cast<m*>(sys::switch_context(from, to, self));
    sys::after_switch(fake);
    *self->errno_at = error;
    return self;
}

/// The same inside a catch block or while unwinding.
WEFT_NOINLINE m* switch_in_exception(m* self, sys::context* from, g* next) noexcept
{
    const sys::exception_globals kept = *self->exceptions;
    *self->exceptions = {};
    self = switch_plain(self, from, next);
    *self->exceptions = kept;
    return self;
}

/// Leaves `from` for `next` (null: g0), which is prepared. Returns when `from` is resumed, on whatever M that may be,
/// with that M and inside its claim. Between switches an M has no exception state: whoever leaves takes its own along.
WEFT_ALWAYS_INLINE m* switch_to(m* self, sys::context* from, g* next) noexcept
{
    if (next != nullptr)
        begin_run(*self, next);
    else
        self->current = nullptr;
    if (self->exceptions->any()) [[unlikely]]
        return switch_in_exception(self, from, next);
    return switch_plain(self, from, next);
}

/// The longest waiting goroutine of a queue. Which queue begins changes each `turn`: decisions may be so slow that
/// there is always an old goroutine in each of them.
g* next_queued(p& proc, std::uint32_t procs, std::uint64_t turn, std::int64_t now) noexcept
{
    for (std::uint64_t queue = turn; queue < turn + 3; ++queue) {
        switch (queue % 3) {
            case 0:
                if (g* const item = sched.global.take(sched.global.share(procs), proc.ready))
                    return item;
                break;
            case 1:
                if (!proc.fresh.empty() && now - proc.oldest_taken > oldest_period) {
                    proc.oldest_taken = now;
                    return proc.fresh.pop_front();
                }
                break;
            default:
                if (!proc.ready.empty())
                    return proc.ready.pop_front();
        }
    }
    return nullptr;
}

/// Goroutines that ready each other for ever share one slice, or runnext would never leave the queues their turn. At
/// its end the one in runnext goes behind all that wait.
void end_slice(p& proc, std::int64_t now) noexcept
{
    if (now - proc.slice_began < next_slice || proc.queued() == 0)
        return;
    proc.slice_began = now;
    if (g* const item = proc.take_next()) {
        sched.global.push(item);
        wake_if_needed();
    }
}

/// Descriptors get their turn beside a P's own work. By time, since decisions may be quick against a system call.
void poll_beside(p& proc, std::int64_t now) noexcept
{
    constexpr std::int64_t period = 200'000;  // ns: about 0.25 % of the time
    g_list woken;
    netpoll::poll_after(now, period, true, woken);
    if (!woken.empty())
        hand_in(this_m(), &proc, woken);
}

/// The shared queues, the timers and a change of max_procs get their turn beside a P's own work.
WEFT_NOINLINE g* next_fair(p& proc) noexcept
{
    const std::uint32_t procs = sched.procs.load(base::memory_order_relaxed);
    if (proc.id >= procs || sched.stopping.load(base::memory_order_relaxed))
        return nullptr;  // find_runnable() retires the P, or stops
    const std::int64_t now = sys::monotonic_now();
    proc.fine_grained.store(now - proc.fair_at < static_cast<std::int64_t>(fairness_period) * worth_moving,
                            base::memory_order_relaxed);
    proc.fair_at = now;
    fire_timers(proc, proc.timers, now);
    // One other P's timers as well: it may be retired, or run something long.
    if (netpoll::in_use()) [[unlikely]]
        poll_beside(proc, now);
    const std::uint64_t turn = proc.tick.load(base::memory_order_relaxed) / fairness_period;
    const std::uint32_t other = static_cast<std::uint32_t>(turn % sched.made.load(base::memory_order_acquire));
    fire_timers(proc, sched.at(other).timers, now);
    if (g* const item = next_queued(proc, procs, turn, now)) {
        end_slice(proc, now);
        return item;
    }
    if (g* const item = proc.take_next())
        return item;
    return proc.fresh.empty() ? nullptr : proc.fresh.pop_back();
}

/// next_local(), inlined where it is hot.
WEFT_ALWAYS_INLINE g* pick(p& proc) noexcept
{
    const std::uint64_t tick = proc.next_tick();
    if (tick % fairness_period == 0) [[unlikely]]
        return next_fair(proc);
    if (g* const item = proc.take_next())
        return item;
    const bool fresh = !proc.fresh.empty();
    if (!proc.ready.empty() && (!fresh || !proc.fresh_turn)) {
        proc.fresh_turn = true;
        return proc.ready.pop_front();
    }
    proc.fresh_turn = false;
    return fresh ? proc.fresh.pop_back() : nullptr;
}

/// `self` is for `who` alone; null: for anybody.
void set_locked(m& self, g* who) noexcept
{
    self.locked = who;
    self.detour = static_cast<std::uint8_t>((self.detour & m::watched) | (who != nullptr ? m::has_locked : 0));
}

/// What `self` may run next by a direct switch; null: go through g0. It may need a stack.
WEFT_ALWAYS_INLINE g* next_direct(m& self) noexcept
{
    if (self.detour != 0) [[unlikely]]
        return nullptr;
    g* const next = pick(*self.proc);
    if (next != nullptr && (next->flags & g::locked) != 0) [[unlikely]] {
        push_next(*self.proc, next);
        return nullptr;
    }
    return next;
}

/// The uncommon part of next_prepared(): a goroutine that is locked to its thread, or needs a stack.
WEFT_NOINLINE g* prepare_slow(m& self, g* next) noexcept
{
    // Whoever parks may hold a lock until it has left its stack: it leaves for g0 rather than for a stack whose page
    // the kernel has to find first.
    if ((next->flags & g::locked) != 0 || next->stack_class != default_stack_class || self.proc->stacks.comes_cold()) {
        push_next(*self.proc, next);
        return nullptr;
    }
    prepare_run(self, next);
    return next;
}

/// next_direct(), prepared.
WEFT_ALWAYS_INLINE g* next_prepared(m& self) noexcept
{
    if (self.detour != 0) [[unlikely]]
        return nullptr;
    g* const next = pick(*self.proc);
    if (next != nullptr && (next->flags & (g::locked | needs_stack)) != 0) [[unlikely]]
        return prepare_slow(self, next);
    return next;
}

/// finish_switch() on g0 where debug options want to know of each park.
WEFT_NOINLINE void finish_watched_switch(m& self) noexcept
{
    look_at_park(self);
    finish_switch(self);
    self.committing = nullptr;
}

/// A commit_fn for a goroutine that has ended, for what can't be done while its stack is in use: `argument` is the M.
bool release_stack(g*, void* argument) noexcept
{
    m& self = *static_cast<m*>(argument);
    sys::delete_fiber(self.dead_fiber);
    give_stack(self.dead_stack, self.dead_class);
    sched.finished_outside.fetch_add(1, base::memory_order_release);
    return true;
}

/// Has release_stack() run on the next stack.
void release_after_switch(m& self, const goroutine_end& end) noexcept
{
    self.dead_fiber = sys::this_fiber();
    self.dead_stack = end.stack_top;
    self.dead_class = end.stack_class;
    self.commit = &release_stack;
    self.commit_argument = &self;
    self.committing = nullptr;
}

/// The last of an ended goroutine's stack: `next` (null: g0) goes on.
[[noreturn]] WEFT_ALWAYS_INLINE void switch_for_good(m& self, const goroutine_end& end, g* next) noexcept
{
    const sys::context* to = &self.g0;
    self.current = nullptr;
    if (next != nullptr) {
        prepare_run(self, next);
        begin_run(self, next);
        to = &next->ctx;
        sys::before_switch(nullptr, next->stack_top - stack_bytes(next->stack_class), stack_bytes(next->stack_class),
                           next->fiber);
    } else {
        sys::before_switch(nullptr, self.g0_low, self.g0_size, self.g0_fiber);
    }
    sys::context nowhere;
    sys::forget_frames(end.stack_top);  // after all else here: what leaves its scope is poisoned, too
    sys::switch_context(&nowhere, to, &self);
    __builtin_unreachable();
}

/// What is left of a goroutine that has ended, on an M that has no P: g0 goes on.
[[noreturn]] WEFT_NOINLINE void end_without_p(m& self, const goroutine_end& end) noexcept
{
    if (!end.kept) {
        g* const me = self.current;
        if (me->extra != nullptr)
            drop_extra(me);
        me->move_to(g_state::running, g_state::dead);
        give_global_g(me);
    }
    set_locked(self, nullptr);
    release_after_switch(self, end);
    switch_for_good(self, end, nullptr);
}

/// Puts an ended goroutine away and finds the next one. Begins the section that the next one ends. Its control block
/// may be somebody else's already, so nothing may wait here for its sake.
WEFT_ALWAYS_INLINE g* finish_run(m& self, const goroutine_end& end) noexcept
{
    if (!enter_with_p(self)) [[unlikely]]
        end_without_p(self, end);
    if (!end.kept)
        drop_inside(self, self.current);
    if (self.detour != 0) [[unlikely]]
        set_locked(self, nullptr);
    return next_direct(self);
}

/// After its stack is somebody else's: stats() shows no goroutine's stack without the goroutine. Pairs with
/// count_goroutines().
WEFT_ALWAYS_INLINE void count_end(m& self) noexcept
{
    self.proc->finished.add(1, base::memory_order_release);
}

/// Leaves the stack of an ended goroutine for good.
[[noreturn]] WEFT_NOINLINE void leave_stack(m& self, const goroutine_end& end, g* next) noexcept
{
    if (end.stack_class == default_stack_class && !sys::thread_sanitizer) {
        // Before the switch: inside the claim nobody else takes it, and a new goroutine that gets it at once writes
        // nothing to it before it runs.
        self.proc->stacks.give(end.stack_top);
        count_end(self);
    } else {
        release_after_switch(self, end);
    }
    switch_for_good(self, end, next);
}

/// The first function of every stack: runs one goroutine after the other on it for as long as the next one has not
/// begun yet and wants a stack like this.
[[noreturn]] void goroutine_main(void* argument)
{
    m* self = static_cast<m*>(argument);
    sys::after_switch(nullptr);
    finish_switch(*self);
    for (;;) {
        leave(*self);
        g* const me = self->current;
        const goroutine_end end = end_of(*me);
        if ((me->flags & g::pinned) != 0) [[unlikely]]
            lock_thread();
        me->body(me->storage);
        if (!end.kept && me->extra != nullptr) [[unlikely]]
            end_locals(*me);
        self = this_m();
        g* const next = finish_run(*self, end);
        // TSan keeps a history for each goroutine, so there each begins on a stack of its own.
        if (sys::thread_sanitizer || next == nullptr || (next->flags & g::no_stack) == 0 ||
            next->stack_class != end.stack_class) [[unlikely]]
            leave_stack(*self, end, next);
        count_end(*self);
        next->stack_top = end.stack_top;
        next->flags &= static_cast<std::uint8_t>(~g::no_stack);
        begin_run(*self, next);
    }
}

bool park_thread_commit(g* self, commit_fn commit, void* argument) noexcept
{
    self->awake.store(0, base::memory_order_relaxed);
    self->move_to(g_state::running, g_state::waiting);
    if (commit(self, argument))
        return true;
    self->move_to(g_state::waiting, g_state::running);
    return false;
}

void thread_resumed(g* self) noexcept
{
    self->why.store(wait_reason::none, base::memory_order_relaxed);
    self->move_to(g_state::waiting, g_state::running);
}

bool thread_was_readied(const g* self) noexcept
{
    return self->awake.load(base::memory_order_acquire) != 0;  // pairs with ready()
}

/// Sleeps once, without a deadline.
void block_thread(const g* self) noexcept
{
    if (sched.exiting.load(base::memory_order_relaxed) != self) [[likely]] {
        sys::futex_wait(self->awake, 0);
        return;
    }
    // Static destructors and exit handlers: goroutines have stopped, only another plain thread could still wake us.
    constexpr std::int64_t patience = 10'000'000'000;  // ns
    if (!sys::futex_wait_until(self->awake, 0, sys::monotonic_now() + patience) && !thread_was_readied(self))
        base::fatal(
            "while the process exits, a static destructor or an exit handler has waited for 10 s for what only a "
            "goroutine could do; they have stopped. Join them before main returns or exit is called");
}

void park_thread(g* self, commit_fn commit, void* argument, wait_reason why) noexcept
{
    // One that waits for the outside may go on at any time, as one with a deadline: it is not counted.
    const bool outside = ends_from_outside(why);
    self->why.store(outside ? wait_reason::none : why, base::memory_order_relaxed);
    if (!park_thread_commit(self, commit, argument)) {
        self->why.store(wait_reason::none, base::memory_order_relaxed);
        return;
    }
    if (!outside)
        sched.thread_parks.fetch_add(1, base::memory_order_seq_cst);
    while (!thread_was_readied(self))
        block_thread(self);
    thread_resumed(self);
}

/// Of what is not special, by a thread without a P.
WEFT_NOINLINE void ready_outside(g* item) noexcept
{
    end_wait_outside(item);
    sched.global.push(item);
    wake_if_needed();
}

/// ready() of what is not special.
WEFT_ALWAYS_INLINE void ready_plain(g* item) noexcept
{
    if (m* const self = begin_section_with_p(); self != nullptr) [[likely]] {
        ready_inside(*self, item);
        leave(*self);
    } else {
        ready_outside(item);
    }
}

/// push_next(), where one is queued already: somebody else may run one of the two.
WEFT_NOINLINE void push_next_and_wake(p& proc, g* item) noexcept
{
    push_next(proc, item);
    wake_if_needed();
}

WEFT_ALWAYS_INLINE void begin_park(m& self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    me->why.store(why, base::memory_order_relaxed);
    self.commit = commit;
    self.commit_argument = argument;
    self.committing = me;
}

/// Parks `me` in the section of `self`, which ends.
WEFT_ALWAYS_INLINE void leave_for_next(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    begin_park(*self, me, commit, argument, why);
    me->move_to(g_state::running, g_state::waiting, base::memory_order_release);  // pairs with hibernate()
    self = switch_to(self, &me->ctx, next_prepared(*self));
    finish_switch(*self);
    leave(*self);
}

/// What of a parking there is to do without a P, outside of a section: the rest is the scheduler's loop's. There its
/// state becomes waiting, when its context is saved: hibernate() has no section to wait for.
WEFT_NOINLINE void leave_without_p(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    begin_park(*self, me, commit, argument, why);
    self = switch_to(self, &me->ctx, nullptr);
    finish_switch(*self);
    leave(*self);
}

/// A commit_fn for look_at_park(), which asks for one.
bool nothing_to_commit(g*, void*) noexcept
{
    return true;
}

/// A commit_fn: the goroutine does not wait, it only needs another M. Not counted as a park.
bool queue_for_all(g* parked, void*) noexcept
{
    parked->move_to(g_state::waiting, g_state::runnable);
    sched.global.push(parked);
    wake_if_needed();
    return true;
}

/// yield(), the common case alone: only others that have yielded or were readied, it is not the shared queues' turn,
/// and nothing is special about either of the two. Null: nothing has been done.
WEFT_ALWAYS_INLINE g* swap_with_next(m& self, g* me) noexcept
{
    p& proc = *self.proc;
    if (self.detour != 0 || proc.has_next() || !proc.fresh.empty())
        return nullptr;
    const std::uint64_t tick = proc.tick.load(base::memory_order_relaxed) + 1;
    if (tick % fairness_period == 0)
        return nullptr;
    const auto plain = [me](const g* next)
    { return ((me->flags | next->flags) & (g::explored | g::locked | needs_stack)) == 0; };
    g* const next = proc.ready.rotate_if(me, plain);
    if (next != nullptr) [[likely]]
        proc.tick.store(tick, base::memory_order_relaxed);
    return next;
}

/// yield() in any other case, in the section of `self`, which ends.
WEFT_NOINLINE void yield_slow(m* self, g* me) noexcept
{
    if ((me->flags & g::explored) != 0) {
        leave(*self);
        me->member->in->point(me, true);
        return;
    }
    if (sched.stopping.load(base::memory_order_relaxed)) {
        leave(*self);  // the exit handlers run on this goroutine, and nothing beside it
        return;
    }
    me->move_to(g_state::running, g_state::runnable);
    push_ready(*self->proc, me);
    g* const next = next_prepared(*self);
    if (next == me) {
        me->move_to(g_state::runnable, g_state::running);
    } else {
        self = switch_to(self, &me->ctx, next);
        finish_switch(*self);
    }
    leave(*self);
}

/// yield() without a P, outside of a section.
WEFT_NOINLINE void yield_without_p(m* self, g* me) noexcept
{
    if ((me->flags & g::explored) != 0)
        me->member->in->point(me, true);
    else
        leave_without_p(self, me, &queue_for_all, nullptr, wait_reason::none);
}

/// `inside`: in a section of `self`.
WEFT_NOINLINE void park_special(m* self, bool inside, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    if ((me->flags & g::a_thread) != 0)
        park_thread(me, commit, argument, why);
    else
        me->member->in->park(*self, inside, me, commit, argument, why);
}

/// Null `self`: outside of a section.
WEFT_NOINLINE void ready_special(m* self, g* item) noexcept
{
    if ((item->flags & g::a_thread) != 0)
        ready_thread(item);
    else
        item->member->in->ready(self, item);
}

/// A commit_fn for park_until(): `argument` is the deadline_wait.
bool publish_and_arm(g* parked, void* argument) noexcept
{
    auto& wait = *static_cast<deadline_wait*>(argument);
    timer_heap& heap = timers_of(*parked);
    const std::int64_t when = wait.alarm.when;
    heap.lock();
    wait.alarm.heap = &heap;
    const bool published = wait.publish(wait);
    // The waiter may be running again by now, but its disarm() waits for this lock.
    const bool first = published && when != never && heap.arm(wait.alarm);
    heap.unlock();
    if (first)
        wake_timekeeper(when);
    return published;
}

/// finish_switch() on g0 of an M without a P.
void finish_outside(m& self) noexcept
{
    if ((self.detour & m::watched) != 0)
        look_at_park(self);
    commit_fn const commit = std::exchange(self.commit, nullptr);
    g* const parked = std::exchange(self.committing, nullptr);
    if (parked != nullptr)
        parked->move_to(g_state::running, g_state::waiting, base::memory_order_release);  // pairs with hibernate()
    if (!commit(parked, self.commit_argument))
        (void)queue_for_all(parked, nullptr);
    else if (parked != nullptr && commit != &queue_for_all)
        sched.parks_outside.fetch_add(1, base::memory_order_release);
}

}  // namespace

namespace {

// Written before main().
constinit std::array<const void*, 32> hidden{};
constinit std::size_t hidden_count = 0;

}  // namespace

bool hide_from_reports(const void* function) noexcept
{
    base::check(hidden_count < hidden.size(), "room for functions that are not shown");
    hidden[hidden_count++] = function;
    return true;
}

bool is_inner_function(const void* function) noexcept
{
    for (std::size_t i = 0; i < hidden_count; ++i)
        if (hidden[i] == function)
            return true;
    const auto is = [function](auto* f) { return function == reinterpret_cast<const void*>(f); };
    return is(&park) || is(&park_inside) || is(&park_until) || is(&park_until_inside) || is(&park_special) ||
           is(&park_published) || is(&switch_out) || is(&switch_out_without_p) || is(&switch_in_exception) ||
           is(&leave_without_p) || is(&yield) || is(&yield_slow) || is(&yield_without_p) || is(&goroutine_main);
}

void stop_here() noexcept
{
    this_m()->stopped.store(true, base::memory_order_release);
    for (const base::atomic<std::uint32_t> forever{0};;)
        sys::futex_wait(forever, 0);
}

namespace {

/// Ends with the section begun, or with the reason why that can't be.
claim::turn try_to_enter(m& self) noexcept
{
    constexpr int patience = 200;  // pauses, about 2-8 us: longer than a steal, shorter than a time slice
    for (;;) {
        switch (const claim::turn next = self.own.back_off(patience); next) {
            case claim::turn::retry:
                if (self.own.try_enter())
                    return next;
                break;
            case claim::turn::wait:
                sys::yield_thread();
                break;
            case claim::turn::gone:
            case claim::turn::stopped:
                return next;
            case claim::turn::forked:
                base::fatal(
                    "weft was used after fork(), in the child: of the threads that run goroutines only this one is "
                    "there; after fork() call only exec or _exit, or start processes before weft::run");
        }
    }
}

}  // namespace

void enter_slow(m& self) noexcept
{
    const claim::turn how = try_to_enter(self);
    if (how == claim::turn::stopped)
        stop_here();
    if (how == claim::turn::gone)
        get_p(self);
}

bool enter_to_leave_slow(m& self) noexcept
{
    return try_to_enter(self) == claim::turn::retry;
}

bool enter_with_p_slow(m& self) noexcept
{
    const claim::turn how = try_to_enter(self);
    if (how == claim::turn::stopped)
        stop_here();
    return how == claim::turn::retry;
}

g* next_local(p& proc) noexcept
{
    return pick(proc);
}

void ready_thread(g* self) noexcept
{
    if (self->why.load(base::memory_order_relaxed) != wait_reason::none)
        sched.thread_readies.fetch_add(1, base::memory_order_seq_cst);
    self->awake.store(1, base::memory_order_release);
    sys::futex_wake(&self->awake, 1);  // the thread may be gone by now; its g is still memory
}

timer_heap& timers_of(g& owner) noexcept
{
    return (owner.flags & g::bubbled) != 0 ? owner.member->in->timers() : this_m()->proc->timers;
}

bool fire_timers(p& proc, timer_heap& heap, std::int64_t now) noexcept
{
    if (heap.earliest() > now)
        return false;
    g_list woken;
    heap.run_expired(now, woken);
    if (woken.empty())
        return false;
    hand_in(this_m(), &proc, woken);
    return true;
}

void hand_in(m* self, p* proc, g_list& woken) noexcept
{
    g_list shared;
    while (g* const item = woken.pop_front()) {
        if ((item->flags & g::special) != 0) [[unlikely]] {
            ready_special(self, item);
            continue;
        }
        if (proc != nullptr) {
            end_wait(*proc, item);
            item->expect_run();
            push_ready(*proc, item);
        } else {
            end_wait_outside(item);
            shared.push_back(item);
        }
    }
    if (!shared.empty())
        sched.global.push(shared);
    wake_if_needed();
}

void ready_inside(m& self, g* item) noexcept
{
    // Alone in runnext it will run as soon as we park: no other M is woken for it. Should we not park, sysmon lets it
    // be stolen.
    if (!try_ready_inside(self, item)) [[unlikely]] {
        end_wait(*self.proc, item);
        push_next_and_wake(*self.proc, item);
    }
}

void schedule(m& self) noexcept
{
    for (;;) {
        g* next;
        if (self.locked != nullptr) {
            next = wait_locked(self);
        } else {
            if (self.own.outside() && !rejoin(self))
                return;
            next = find_runnable(self);
            if (next == nullptr)
                return;
            if ((next->flags & g::locked) != 0) {
                p& proc = *self.proc;
                disown_p(self, proc);
                give_to_home(proc, next);
                if (!sleep_without_p(self))
                    return;
                continue;
            }
            if ((self.detour & m::watched) != 0 && must_move(self, next)) {
                push_next(*self.proc, next);
                if (!pass_p_on(self))
                    self.stays = next;  // no other thread is to be had
                else if (!sleep_without_p(self))
                    return;
                continue;
            }
        }
        if (sched.stopping.load(base::memory_order_relaxed))
            stop_here();
        prepare_run(self, next);
        switch_to(&self, &self.g0, next);
        if (self.own.outside()) [[unlikely]] {
            finish_outside(self);
            continue;
        }
        if ((self.detour & m::watched) != 0)
            finish_watched_switch(self);
        else
            finish_switch(self);
        self.own.rest();
    }
}

// --- the waist

g* current()
{
    if (const m* const self = this_m(); self != nullptr)
        return self->current;
    g* const item = this_thread_g();
    if (item == nullptr)
        throw std::bad_alloc();
    return item;
}

bool on_goroutine() noexcept
{
    const m* const self = this_m();
    return self != nullptr && self->current != nullptr;
}

const void* caller() noexcept
{
    const m* const self = this_m();
    return self != nullptr && self->current != nullptr ? self->current : this_thread_key();
}

void switch_out(m& from, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    leave_for_next(&from, me, commit, argument, why);
}

void switch_out_without_p(m& from, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    leave_without_p(&from, me, commit, argument, why);
}

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_HOT WEFT_NOINLINE void park(g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    m* const self = this_m_inline();
    if ((me->flags & g::special) != 0) [[unlikely]] {
        const bool inside = (me->flags & g::a_thread) == 0 && enter_to_leave(*self);
        park_special(self, inside, me, commit, argument, why);
        return;
    }
    if (enter_to_leave(*self)) [[likely]]
        leave_for_next(self, me, commit, argument, why);
    else
        leave_without_p(self, me, commit, argument, why);
}

void park_inside(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    if ((me->flags & g::special) != 0) [[unlikely]] {
        park_special(self, true, me, commit, argument, why);
        return;
    }
    leave_for_next(self, me, commit, argument, why);
}

void park_published(m* self, g* me, wait_reason why) noexcept
{
    if (self->detour != 0) [[unlikely]] {
        leave_for_next(self, me, &nothing_to_commit, nullptr, why);
        return;
    }
    me->why.store(why, base::memory_order_relaxed);
    me->move_to(g_state::running, g_state::waiting, base::memory_order_release);  // pairs with hibernate()
    count_park(*self);
    self = switch_to(self, &me->ctx, next_prepared(*self));
    finish_switch(*self);
    leave(*self);
}

bool park_until(deadline_wait& wait, wait_reason why) noexcept
{
    if ((wait.waiter->flags & g::a_thread) != 0)
        return park_until_inside(nullptr, wait, why);
    park(wait.waiter, &publish_and_arm, &wait, why);
    timer_heap::disarm(wait.alarm);
    return !wait.timed_out;
}

bool park_until_inside(m* self, deadline_wait& wait, wait_reason why) noexcept
{
    g* const me = wait.waiter;
    if (self != nullptr) {
        park_inside(self, me, &publish_and_arm, &wait, why);
        timer_heap::disarm(wait.alarm);
        return !wait.timed_out;
    }
    const commit_fn publish = [](g*, void* w) noexcept
    {
        auto& published = *static_cast<deadline_wait*>(w);
        return published.publish(published);
    };
    if (wait.alarm.when == never) {
        park_thread(me, publish, &wait, why);
    } else if (park_thread_commit(me, publish, &wait)) {
        bool waiting = true;
        while (!thread_was_readied(me)) {
            if (!waiting)
                block_thread(me);
            else if (!sys::futex_wait_until(me->awake, 0, wait.alarm.when)) {
                if (wait.alarm.expire(wait.alarm) != nullptr)
                    break;
                waiting = false;  // somebody has won us and is about to say so
            }
        }
        thread_resumed(me);
    }
    return !wait.timed_out;
}

void arm_inside(m* self, timer& alarm) noexcept
{
    timer_heap& heap = self != nullptr ? self->proc->timers : sched.at(0).timers;
    heap.lock();
    const bool first = heap.arm(alarm);
    heap.unlock();
    if (first)
        wake_timekeeper(alarm.when);
}

void ready(g* item) noexcept
{
    if ((item->flags & g::special) != 0) [[unlikely]] {
        ready_special(nullptr, item);
        explore_point();
        return;
    }
    ready_plain(item);
}

void ready_by_ending(g* item) noexcept
{
    if ((item->flags & g::special) != 0) [[unlikely]]
        ready_special(nullptr, item);
    else
        ready_plain(item);
}

void ready(g_list& items) noexcept
{
    if (items.size() == 1) {
        ready(items.pop_front());
        return;
    }
    g_list queued;
    while (g* const item = items.pop_front()) {
        if ((item->flags & g::special) != 0) {
            ready_special(nullptr, item);
        } else {
            item->move_to(g_state::waiting, g_state::runnable);
            queued.push_back(item);
        }
    }
    if (queued.empty()) {
        explore_point();
        return;
    }
    if (m* const self = begin_section_with_p(); self != nullptr) {
        p& proc = *self->proc;
        proc.readies.add(queued.size());
        while (!queued.empty() && !proc.ready.full())
            proc.ready.push_back(queued.pop_front());
        if (!queued.empty())
            sched.global.push(queued);
        wake_if_needed();
        leave(*self);
    } else {
        sched.readies_outside.fetch_add(queued.size(), base::memory_order_relaxed);
        sched.global.push(queued);
        wake_if_needed();
    }
}

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_HOT WEFT_NOINLINE void yield() noexcept
{
    m* self = this_m_inline();
    if (self == nullptr) [[unlikely]] {
        sys::yield_thread();
        return;
    }
    g* const me = self->current;
    if (!enter_to_leave(*self)) [[unlikely]] {
        yield_without_p(self, me);
        return;
    }
    g* const next = swap_with_next(*self, me);
    if (next == nullptr) [[unlikely]] {
        yield_slow(self, me);
        return;
    }
    me->move_to(g_state::running, g_state::runnable);
    self = switch_to(self, &me->ctx, next);
    finish_switch(*self);
    leave(*self);
}

void leave_retired_p() noexcept
{
    for (;;) {
        m* const self = this_m();
        if (self == nullptr)
            return;
        enter(*self);
        p& proc = *self->proc;
        const bool in_use =
            proc.id < sched.procs.load(base::memory_order_relaxed) || sched.stopping.load(base::memory_order_relaxed);
        if (!in_use)  // the next decision is next_fair()'s, which has the P retired
            proc.tick.store(proc.tick.load(base::memory_order_relaxed) | (fairness_period - 1),
                            base::memory_order_relaxed);
        leave(*self);
        if (in_use)
            return;
        yield();
    }
}

void end_goroutine(const goroutine_end& end) noexcept
{
    m* me = this_m();
    *me->exceptions = {};  // what was being unwound is not finished by a handler
    if (!end.kept && me->current->extra != nullptr)
        end_locals(*me->current);
    m& self = *this_m();
    leave_stack(self, end, finish_run(self, end));
}

void come_back_from_blocking(m& self) noexcept
{
    g* const me = self.current;
    if (take_any_p(self)) {
        leave(self);
    } else if ((me->flags & (g::locked | g::explored)) != 0) {
        get_p(self);
        leave(self);
    } else {
        leave_without_p(&self, me, &queue_for_all, nullptr, wait_reason::none);
    }
}

std::uint32_t random_below(m* self, std::uint32_t n) noexcept
{
    if (self != nullptr) {
        if (base::exploring() && (self->current->flags & g::explored) != 0) [[unlikely]]
            return self->current->member->in->draw(n);
        return self->random.below(n);
    }
    static base::atomic<std::uint64_t> drawn{0};
    return base::rand(static_cast<std::uint64_t>(sys::monotonic_now()) + drawn.fetch_add(1, base::memory_order_relaxed))
        .below(n);
}

void lock_thread() noexcept
{
    m* const self = this_m();
    if (self == nullptr)
        return;
    g* const me = self->current;
    if (me->lock_depth++ == 0) {
        me->home = self;
        me->flags |= g::locked;
        set_locked(*self, me);
    }
}

bool unlock_thread() noexcept
{
    m* const self = this_m();
    if (self == nullptr)
        return true;
    g* const me = self->current;
    if (me->lock_depth == 0)
        return false;
    if (--me->lock_depth == 0) {
        me->flags &= static_cast<std::uint8_t>(~(g::locked | g::pinned));
        set_locked(*self, nullptr);
    }
    return true;
}

bool worth_spinning() noexcept
{
    const m* const self = this_m();
    if (base::exploring() && self != nullptr && (self->current->flags & g::explored) != 0)
        return false;  // whoever could end the wait does not run meanwhile
    return sched.procs.load(base::memory_order_relaxed) > 1 && (self == nullptr || !self->proc->has_work());
}

std::int64_t now() noexcept
{
    bubble* const b = bubble_of_caller();
    return b != nullptr ? b->now() : sys::monotonic_now();
}

}  // namespace weft::rt

namespace weft::detail {

void explore_point_slow() noexcept
{
    const rt::m* const self = rt::this_m();
    rt::g* const me = self != nullptr ? self->current : nullptr;
    if (me != nullptr && (me->flags & (rt::g::explored | rt::g::a_thread)) == rt::g::explored)
        me->member->in->point(me, false);
}

}  // namespace weft::detail
