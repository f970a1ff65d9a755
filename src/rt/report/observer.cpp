#include "rt/report/observer.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <new>
#include <unordered_map>
#include <utility>

#include "base/check.hpp"
#include "base/printer.hpp"
#include "rt/core/g.hpp"
#include "rt/core/idle.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/timer.hpp"
#include "rt/report/debug_options.hpp"
#include "rt/report/dump.hpp"
#include "rt/report/stack_walk.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/m_thread.hpp"
#include "rt/sched/scheduler.hpp"
#include "sys/backtrace.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/interrupt.hpp"
#include "sys/thread.hpp"
#include "weft/detail/symbolise.hpp"

namespace weft::rt {

namespace {

using ull = unsigned long long;
constexpr std::int64_t millisecond = 1'000'000;  // ns
constexpr std::int64_t second = 1'000 * millisecond;
constexpr int to_stderr = 2;

base::atomic<bool> alive{false};                 ///< set by the thread itself
base::atomic<std::uint32_t> dumps_asked_for{0};  ///< futex word; written by the signal handler
bool quit_handled = false;                       ///< written once, before the thread starts

// --- stalls

/// What an M was last seen at. As long as it makes no scheduling decision all of it stays the same, whoever has its P.
struct last_seen {
    std::uint64_t id = 0;  ///< its goroutine's; 0: none
    const p* proc = nullptr;
    std::uint64_t tick = 0;
    std::int64_t since = 0;
    std::int64_t report_at = 0;
};

/// What an M does, read while it runs.
struct glimpse {
    std::uint64_t id;
    const p* proc;  ///< null: it has none
    std::uint64_t tick;
};
// TSan is not to look: nothing orders these reads. An atomic's own functions are called, and it looks into those.
__attribute__((noinline, no_sanitize("thread"))) glimpse look_at(const m& on) noexcept
{
    const g* const who = *const_cast<g* const volatile*>(&on.current);
    const p* const proc = *const_cast<p* const volatile*>(&on.proc);
    glimpse seen{};
    if (who == nullptr || *reinterpret_cast<const volatile g_state*>(&who->state) != g_state::running)
        return seen;
    seen.id = *const_cast<const volatile std::uint64_t*>(&who->id);
    if (proc != nullptr && proc->owner.load(base::memory_order_relaxed) == &on) {
        seen.proc = proc;
        seen.tick = proc->tick.load(base::memory_order_relaxed);
    }
    return seen;
}

class stalls {
public:
    explicit stalls(std::int64_t limit) noexcept : limit_(limit) {}

    /// Returns when to look again.
    std::int64_t look(std::int64_t now) noexcept
    {
        now_ = now;
        for_each_m([](m& on, void* self) noexcept { static_cast<stalls*>(self)->look_at_m(on); }, this);
        return now + std::clamp(limit_ / 4, millisecond, second);
    }

private:
    void look_at_m(m& on) noexcept
    {
        try {
            last_seen& before = seen_[&on];
            const glimpse now = look_at(on);
            // Without a P it has been taken away since: to get one, it would have had to decide something.
            const bool same = now.id != 0 && now.id == before.id &&
                              (now.proc == nullptr || (now.proc == before.proc && now.tick == before.tick));
            if (!same)
                before = {now.id, now.proc, now.tick, now_, now_ + limit_};
            else if (now_ >= before.report_at)
                report(on, before);
        } catch (const std::bad_alloc&) {  // this M is not watched
        }
    }

    /// At the limit, and each time that it has doubled.
    void report(m& on, last_seen& stalled) noexcept
    {
        constexpr std::uint32_t most = 10;  // in a second
        const std::int64_t lasted = now_ - stalled.since;
        stalled.report_at = now_ + lasted;
        if (now_ - window_began_ >= second) {
            window_began_ = now_;
            in_window_ = 0;
        }
        if (++in_window_ > most) {
            ++left_out_;
            return;
        }
        running_goroutine who;
        const bool answered = ask(on, who, sys::monotonic_now() + second);
        if (!answered || who.id != stalled.id)
            return;  // it has just ended, or its thread has no CPU
        base::printer out(to_stderr);
        out.print(
            "weft: stall: goroutine %llu%s%s%s has kept its thread for %lld ms without letting others run; it %s\n",
            static_cast<ull>(who.id), who.name.empty() ? "" : " [", who.name.text.data(), who.name.empty() ? "" : "]",
            static_cast<long long>(lasted / millisecond),
            who.asleep ? "is blocked in the kernel (weft::blocking is for such calls)" : "computes");
        if (left_out_ != 0)
            out.print("  %llu reports before this one were left out\n", static_cast<ull>(left_out_));
        left_out_ = 0;
        sys::print_origin(out, who.started_at);
        print_stack(out, std::span(who.stack.pcs).first(who.stack.count), who.stack.end);
    }

    std::int64_t limit_;
    std::int64_t now_ = 0;
    std::int64_t window_began_ = 0;
    std::uint32_t in_window_ = 0;
    std::uint64_t left_out_ = 0;
    std::unordered_map<const m*, last_seen> seen_;
};

// --- schedtrace

void print_scheduler(std::int64_t since_start) noexcept
{
    const idle_word::view idle = sched.idle.read();
    sched.lock.lock();
    const std::uint32_t threads = sched.ms;
    const std::uint32_t idle_threads = sched.idle_ms.load(base::memory_order_relaxed);
    sched.lock.unlock();
    base::printer out(to_stderr);
    out.print("SCHED %lldms: procs=%u idleprocs=%u threads=%u spinningthreads=%u idlethreads=%u runqueue=%llu [",
              static_cast<long long>(since_start / millisecond), sched.procs.load(base::memory_order_relaxed),
              idle.idle, threads, idle.spinning, idle_threads, static_cast<ull>(sched.global.size()));
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        p& proc = sched.at(i);
        out.print("%s%u", i == 0 ? "" : " ", proc.queued() + (proc.has_next() ? 1U : 0U));
    }
    out.print("]\n");
}

// --- the thread

class observer {
public:
    observer() noexcept : options_(debugging()), stalls_(options_.stall), began_(sys::monotonic_now())
    {
        trace_at_ = began_ + options_.schedtrace;
        mark_at_ = began_;
    }

    [[noreturn]] void run() noexcept
    {
        for (std::uint32_t done = 0;;) {
            const std::uint32_t asked = dumps_asked_for.load(base::memory_order_acquire);  // pairs with ask_for_dump()
            if (asked != done) {
                done = asked;
                base::printer out(to_stderr);
                dump_all(out, {});
            }
            const std::int64_t next = look(sys::monotonic_now());
            if (next == never)
                sys::futex_wait(dumps_asked_for, done);
            else
                sys::futex_wait_until(dumps_asked_for, done, next);
            if (sched.stopping.load(base::memory_order_relaxed))
                for (const base::atomic<std::uint32_t> forever{0};;)
                    sys::futex_wait(forever, 0);  // beside static destructors it does nothing any more
        }
    }

private:
    /// Returns when to look again.
    std::int64_t look(std::int64_t now) noexcept
    {
        std::int64_t next = never;
        if (options_.schedtrace != 0) {
            if (now >= trace_at_) {
                print_scheduler(now - began_);
                trace_at_ = std::max(trace_at_ + options_.schedtrace, now);
            }
            next = std::min(next, trace_at_);
        }
        if (options_.stall != 0)
            next = std::min(next, stalls_.look(now));
        if (options_.waits || quit_handled) {
            if (now >= mark_at_)
                mark_at_ = now + std::max(second, 100 * mark_waiting());  // at most 1 % of a CPU
            next = std::min(next, mark_at_);
        }
        return next;
    }

    const debug_options& options_;
    stalls stalls_;
    std::int64_t began_;
    std::int64_t trace_at_ = 0;
    std::int64_t mark_at_ = 0;
};

void* observer_main(void*) noexcept
{
    sys::name_this_thread("weft-observer");
    alive.store(true, base::memory_order_seq_cst);
    observer().run();
}

/// In the handler of SIGQUIT.
void ask_for_dump() noexcept
{
    dumps_asked_for.fetch_add(1, base::memory_order_release);
    sys::futex_wake(&dumps_asked_for, 1);
}

// --- parks

weft_debug_take_locks_fn take_locks = nullptr;  ///< written once, at the start

/// Whether this stack has not been reported yet. There may be many places, so a few colliding ones are left out.
bool is_new(const goroutine_stack& stack) noexcept
{
    static std::array<base::atomic<std::uint64_t>, 256> known{};
    std::uint64_t hash = 1;
    for (std::size_t i = 0; i < stack.count; ++i)
        hash = (hash ^ reinterpret_cast<std::uintptr_t>(stack.pcs[i])) * 0x9e3779b97f4a7c15U;
    return known[hash >> 56U].exchange(hash, base::memory_order_relaxed) != hash;
}

void report_locks(const g& parked, unsigned held) noexcept
{
    goroutine_stack stack;
    walk_saved(parked.ctx, {parked.stack_top, parked.stack_class}, stack);
    if (!is_new(stack))
        return;
    base::printer out(to_stderr);
    out.print(
        "weft: locks: a goroutine parks with %u mutex%s of the system held; who else wants %s blocks an OS thread, and "
        "this goroutine may go on, and unlock, on another one (weft::mutex has neither problem)\n",
        held, held == 1 ? "" : "es", held == 1 ? "it" : "them");
    report_parked(out, parked, true);
}

}  // namespace

void start_observer(bool dump_on_sigquit) noexcept
{
    const debug_options& options = debugging();
    if (options.locks) {
        take_locks = reinterpret_cast<weft_debug_take_locks_fn>(dlsym(RTLD_DEFAULT, WEFT_DEBUG_TAKE_LOCKS));
        if (take_locks == nullptr)
            base::report(
                "weft: WEFT_DEBUG=locks needs libweft_debug.so: link with weft::debug, or name it in LD_PRELOAD\n");
    }
    sched.parks_are_observed = options.migrate || take_locks != nullptr;
    quit_handled = dump_on_sigquit || options.sigquit;
    if (!quit_handled && !options.waits && options.stall == 0 && options.schedtrace == 0)
        return;
    if (sys::start_thread(&observer_main, nullptr) != 0) {
        base::report("weft: no thread can be started for WEFT_DEBUG and options::dump_on_sigquit: going on without\n");
        return;
    }
    if (quit_handled)
        sys::install_quit_handler(&ask_for_dump);
}

bool observer_runs() noexcept
{
    return alive.load(base::memory_order_seq_cst);
}

void stop_observer_in_child() noexcept
{
    if (quit_handled)
        sys::remove_quit_handler();
}

void observe_park(m& self) noexcept
{
    const unsigned held = take_locks != nullptr ? take_locks() : 0;
    if (self.commit == nullptr || self.committing == nullptr)
        return;
    g& parked = *self.committing;
    if (held != 0)
        report_locks(parked, held);
    if (debugging().migrate && (parked.flags & g::locked) == 0)
        parked.home = &self;
}

bool must_move(m& self, const g* next) noexcept
{
    if (!debugging().migrate || next->home != &self || (next->flags & g::locked) != 0)
        return false;
    if (std::exchange(self.may_stay, nullptr) == next)
        return false;
    return self.proc->id < sched.procs.load(base::memory_order_relaxed) &&
           !sched.stopping.load(base::memory_order_relaxed);
}

}  // namespace weft::rt
