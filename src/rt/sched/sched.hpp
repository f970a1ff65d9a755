// The scheduler's shared state, and what the files of rt/ call of each other. Not for the layers above: rt/rt.hpp.
//
// Who does what: spawn.cpp makes goroutines; sched.cpp switches between goroutines and picks the next one; find.cpp is
// the loop of an M that has run out of local work (steal, sleep); wake.cpp gives idle Ps to sleeping or new Ms;
// procs.cpp makes, retires and moves Ps; sysmon.cpp watches; boot.cpp starts and stops.
//
// Lock order: scheduler::lock, then p::steal_lock; timer heaps, the global queue and the pools are leaves. A commit_fn
// may take a timer heap's lock while it holds a sema bucket's.
#pragma once

#include <array>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/core/gqueue.hpp"
#include "rt/core/idle.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/sched/section.hpp"
#include "sys/lock.hpp"
#include "weft/runtime.hpp"

namespace weft::rt {

/// How sysmon sleeps, in scheduler::sysmon_nap.
namespace nap_of_sysmon {
inline constexpr std::uint32_t awake = 0;
inline constexpr std::uint32_t short_one = 1;
inline constexpr std::uint32_t long_one = 2;  ///< may be cut short: poke_sysmon()
inline constexpr std::uint32_t deep = 3;      ///< until somebody takes a P: wake_sysmon()
}  // namespace nap_of_sysmon

struct scheduler {
    alignas(base::cache_line) idle_word idle;
    base::atomic<std::uint32_t> procs{0};  ///< what max_procs says
    std::uint32_t cpus = 1;                ///< in the affinity mask when the runtime started; constant from then on
    base::atomic<std::uint32_t> made{0};   ///< Ps that exist: all[0 .. made)
    base::atomic<bool> stopping{false};    ///< process exit has begun
    base::atomic<std::uint32_t> start_hooks{
        0};                               ///< not 0: task_start() must look: `stopping`, bubbles, WEFT_DEBUG=stacks
    base::atomic<std::int64_t> slice{0};  ///< options::slice, ns
    base::atomic<std::int64_t> keep_idle_m{0};                     ///< options::keep_threads, ns
    base::atomic<std::uint32_t> sysmon_nap{nap_of_sysmon::awake};  ///< futex word
    base::atomic<m*> timekeeper{nullptr};        ///< the sleeping M that wakes for timers; set under lock
    base::atomic<std::int64_t> keeper_until{0};  ///< when it will look; 0: nobody keeps time

    alignas(base::cache_line) gqueue global;

    alignas(base::cache_line) sys::lock_word lock;
    p* idle_ps = nullptr;                    ///< guarded by lock; last in, first out: its caches are warm
    m* idle_first = nullptr;                 ///< guarded by lock; sleeping Ms, the timekeeper last
    m* idle_last = nullptr;                  ///< guarded by lock
    base::atomic<std::uint32_t> idle_ms{0};  ///< written under lock
    std::uint32_t ms = 0;                    ///< guarded by lock; Ms that have a thread
    std::uint32_t max_ms = 0;                ///< options::max_threads, or less where the system allows less
    bool short_of_ms = false;                ///< guarded by lock; no thread was to be had, and none has been idle since
    std::uint32_t home_ms = 0;  ///< guarded by lock; Ms that wait for their own goroutine's turn (may be short of one)
    m* free_ms = nullptr;       ///< guarded by lock; Ms whose threads have ended
    base::atomic<m*> all_ms{nullptr};  ///< all there have ever been, linked by m::next_made
    /// run()s that are going on, and those among them that do not want deadlocks to be looked for.
    base::atomic<std::uint32_t> runs{0};
    base::atomic<std::uint32_t> runs_unwatched{0};
    /// Plain threads parked without a deadline are the difference of the two: docs/design/deadlock.md.
    base::atomic<std::uint64_t> thread_parks{0};
    base::atomic<std::uint64_t> thread_readies{0};
    /// Who runs the exit handlers: a goroutine, from then on treated as a plain thread, or what stands for a thread.
    base::atomic<g*> exiting{nullptr};

    base::counter handoffs;                           ///< written under lock
    base::counter wakeups;                            ///< written under lock
    base::counter thread_failures;                    ///< written under lock
    base::counter threads_ended;                      ///< written under lock
    base::atomic<std::uint64_t> retakes{0};           ///< by sysmon, or by who blocks
    base::atomic<std::uint64_t> started_outside{0};   ///< goroutines started by threads without a P
    base::atomic<std::uint64_t> finished_outside{0};  ///< those that ended on one, or whose stack no P kept
    base::atomic<std::uint64_t> parks_outside{0};     ///< as p::parks, on threads without a P
    base::atomic<std::uint64_t> readies_outside{0};   ///< as p::readies, by threads without a P
    base::atomic<std::uint64_t> ids{1};               ///< next goroutine id not yet in a P's stock

    std::array<base::atomic<p*>, max_procs_limit> all{};

    [[nodiscard]] p& at(std::uint32_t i) noexcept { return *all[i].load(base::memory_order_acquire); }
};
extern constinit scheduler sched;

// --- sched.cpp
/// Decisions of a P between two looks at the shared queues and the timers; a power of two.
inline constexpr std::uint64_t fairness_period = 64;
// Everything below wants to be called inside a section (section.hpp), unless it says otherwise.
/// The next goroutine of the P's own queues; also of the shared ones, each 64th time. Null: look in find.cpp.
[[nodiscard]] g* next_local(p& proc) noexcept;
/// Half of a full ring goes to the global queue, the oldest first.
template <std::uint32_t N>
WEFT_NOINLINE void overflow(p& proc, runq<N>& ring) noexcept
{
    g_list out;
    for (std::uint32_t n = N / 2; n > 0; --n)
        out.push_back(ring.pop_front());
    sched.global.push(out, proc.fine_grained.load(base::memory_order_relaxed));
}
/// Queue a runnable goroutine on `proc`.
WEFT_ALWAYS_INLINE void push_ready(p& proc, g* item) noexcept
{
    if (proc.ready.try_push_back(item) == 0) [[unlikely]] {
        overflow(proc, proc.ready);
        proc.ready.push_back(item);
    }
}
/// Returns how many there are now.
WEFT_ALWAYS_INLINE std::uint32_t push_fresh(p& proc, g* item) noexcept
{
    std::uint32_t n = proc.fresh.try_push_back(item);
    if (n == 0) [[unlikely]] {
        overflow(proc, proc.fresh);
        n = proc.fresh.try_push_back(item);
    }
    return n;
}
WEFT_ALWAYS_INLINE void push_next(p& proc, g* item) noexcept
{
    if (g* const former = proc.take_next())
        push_ready(proc, former);
    proc.runnext.store(item, base::memory_order_relaxed);
}
/// Process exit has begun: this M runs no goroutine any more.
[[noreturn]] void stop_here() noexcept;
/// Fires the timers of `heap` that have expired, onto `proc`. True: something became runnable.
bool fire_timers(p& proc, timer_heap& heap, std::int64_t now) noexcept;
/// After max_procs() has fallen: returns on a P that is still in use, so what the caller starts next starts there.
void leave_retired_p() noexcept;
/// The uncommon part of drop_inside().
void drop_extra(g* item) noexcept;
/// Puts a control block away; it belongs to nobody else.
WEFT_ALWAYS_INLINE void drop_inside(m& self, g* item) noexcept
{
    if (item->extra != nullptr) [[unlikely]]
        drop_extra(item);
    item->state.store(g_state::dead, base::memory_order_relaxed);
    self.proc->gs.give(item);
}
/// park() without looking at what is special of `me`, in the section of `self`, which it ends.
void switch_out(m& self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;
/// The same where enter_to_leave() has said false.
void switch_out_without_p(m& self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;
/// ready() of a plain thread.
void ready_thread(g* self) noexcept;
/// Makes what the poller has found runnable: on `proc`, which belongs to `self`, or for all (null `proc`). `self` is
/// null on a plain thread, else inside a section.
void hand_in(m* self, p* proc, g_list& woken) noexcept;
/// Where `owner`, which runs, has its timers.
[[nodiscard]] timer_heap& timers_of(g& owner) noexcept;
/// The loop of an M on g0. Returns when its thread is to end.
void schedule(m& self) noexcept;
/// For reports: whether `function` is one of those of sched.cpp that are on each parked stack, and say nothing.
[[nodiscard]] bool is_inner_function(const void* function) noexcept;

// --- spawn.cpp
class bubble;
/// task_start() for a goroutine of `in`; outside of a section.
void start_in(bubble& in, void* storage, detail::task_body body, detail::storage_life life, const attr* attributes,
              const void* started_at);

// --- find.cpp
/// A runnable goroutine for `self`, which may sleep until there is one. Returns with a P; null: its thread is to end.
[[nodiscard]] g* find_runnable(m& self) noexcept;
/// `self`, without a P, sleeps until it is given one. False: it has not been needed for long, and its thread is to end.
[[nodiscard]] bool sleep_without_p(m& self) noexcept;
/// The goroutine that has `self` for itself is not running: gives the P away and sleeps until that one is runnable.
[[nodiscard]] g* wait_locked(m& self) noexcept;
/// Whether any queue that can be stolen from has work. A hint, exact after a heavy barrier.
[[nodiscard]] bool any_work() noexcept;
/// The earliest deadline of all Ps' timers, or `never`.
[[nodiscard]] std::int64_t earliest_timer() noexcept;

// --- wake.cpp
/// After new work: wakes one M if there is an idle P and nobody looks for work. Callable anywhere.
void wake_one() noexcept;
WEFT_ALWAYS_INLINE void wake_if_needed() noexcept
{
    base::light_barrier();  // pairs with the heavy one of an M that goes idle (find.cpp)
    if (sched.idle.needs_waking()) [[unlikely]]
        wake_one();
}
/// After a timer was armed: the timekeeper must look again if it would sleep past `when`.
void wake_timekeeper(std::int64_t when) noexcept;
/// The timekeeper is to look again at what it waits for.
void poke_timekeeper() noexcept;
/// Under sched.lock, when no P is idle: the timekeeper, which could not get one, is it no longer. Busy Ps look at
/// timers and descriptors themselves, and the next M that goes idle keeps time.
void resign_timekeeper() noexcept;
/// Where Ms sleep and none keeps time, one does from now on.
void appoint_timekeeper() noexcept;
/// `self` will wait for its locked goroutine: its P goes to another M if one is needed, else to the idle list. True: it
/// must watch (must_watch()).
bool give_p_away(m& self) noexcept;
/// Passes the P of `self`, with all that is queued there, to another M. False: there is none, and `self` goes on with a
/// P. True: it has none.
[[nodiscard]] bool pass_p_on(m& self) noexcept;
/// Gives `proc`, which has no owner, to the M that `item` is locked to, to run it.
void give_to_home(p& proc, g* item) noexcept;
/// Starts the first M, with `proc`. Returns an errno.
[[nodiscard]] int start_first_m(p& proc) noexcept;
/// Gives `proc`, which has no owner, to an M that has none: there is work for it.
void hand_off(p& proc) noexcept;
/// Has an idle M at hand, for the next hand_off(), as far as options::max_threads allows.
void keep_spare_m() noexcept;
/// Whether there are more idle Ms than idle Ps and a spare. Certain under sched.lock.
[[nodiscard]] bool too_many_idle_ms() noexcept;
/// Calls `visit` with every M that has run. What they say is for the caller to judge: nothing stops meanwhile.
void for_each_m(void (*visit)(m&, void*) noexcept, void* argument) noexcept;
// Under sched.lock:
/// Has the idle Ms find out whether they are too many.
void review_idle_ms() noexcept;
void list_idle_m(m& self) noexcept;
void unlist_idle_m(m& self) noexcept;

// --- procs.cpp
void own_p(m& self, p& proc) noexcept;     ///< the P has no owner and the M no P
void disown_p(m& self, p& proc) noexcept;  ///< the reverse
// Under sched.lock:
/// Puts a P without an owner on the idle list, or out of use when it is beyond max_procs; work that it has goes to the
/// global queue.
void list_idle_p(p& proc, bool was_spinning) noexcept;
[[nodiscard]] p* take_idle_p(bool to_spin) noexcept;  ///< null: none. Its state is then running.
/// Empties the queues of `proc`, which the caller owns.
void take_all(p& proc, g_list& out) noexcept;
/// The P of `self` is beyond max_procs: moves its work to the global queue and gives it up.
void retire_p(m& self) noexcept;
/// Sets the number of Ps; the former one.
int set_procs(int n) noexcept(false);

// --- sysmon.cpp
/// A spinning M goes to sleep although there is work, because it did not pay. Its count in the idle word stays, so that
/// nobody is woken for such work, and sysmon takes it back with the check that is due then.
void leave_spin_to_sysmon() noexcept;
void start_sysmon() noexcept;
/// A P has become busy.
void wake_sysmon() noexcept;
/// It had better look soon; `blocked`: the caller, if that is about to block.
void poke_sysmon_slow(m* blocked) noexcept;
WEFT_ALWAYS_INLINE void poke_sysmon(m* blocked) noexcept
{
    base::light_barrier();  // pairs with sleep_for_a_while()
    if (sched.sysmon_nap.load(base::memory_order_relaxed) == nap_of_sysmon::long_one) [[unlikely]]
        poke_sysmon_slow(blocked);
}
/// Whether its thread exists, for certain.
[[nodiscard]] bool sysmon_runs() noexcept;

// --- boot.cpp
/// Starts the runtime if that has not happened. Throws as run() does.
void ensure_started(const options& opt);

// --- deadlock.cpp
/// What a watching M makes of the moment.
enum class outlook : std::uint8_t {
    going_on,  ///< somebody is busy, or a timer is armed: whoever goes idle last then, watches then
    unknown,   ///< all is quiet, but a plain thread may do something: look again
};
/// Does not return if this is a deadlock. Not for those who hold sched.lock.
[[nodiscard]] outlook look_for_deadlock() noexcept;
/// Precondition: sched.lock is held. Whether the caller, who has just given its P up or gone on the idle list, is the
/// last one and has to watch.
[[nodiscard]] bool must_watch() noexcept;

// --- panic.cpp
void install_reports() noexcept;

/// waiting -> runnable, by a thread without a P, which then queues it. In bubbles by everybody.
inline void end_wait_outside(g* item) noexcept
{
    item->move_to(g_state::waiting, g_state::runnable);
    sched.readies_outside.fetch_add(1, base::memory_order_relaxed);
}

}  // namespace weft::rt
