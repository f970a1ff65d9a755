#include "rt/boot/boot.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "base/check.hpp"
#include "rt/core/current.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/core/timer.hpp"
#include "rt/report/debug_options.hpp"
#include "rt/report/observer.hpp"
#include "rt/report/panic.hpp"
#include "rt/report/stack_depth.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/procs.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/sysmon.hpp"
#include "rt/sched/wake.hpp"
#include "rt/sched/yield.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/services/hibernate/hibernator.hpp"
#include "rt/services/scavenger.hpp"
#include "rt/stack/stack.hpp"
#include "sys/clock.hpp"
#include "sys/cpus.hpp"
#include "sys/membarrier.hpp"
#include "sys/memory.hpp"
#include "sys/sanitizer.hpp"
#include "sys/thread.hpp"
#include "weft/runtime.hpp"

namespace weft::rt {

namespace {

sys::lock_word boot_lock;
base::atomic<bool> started{false};
base::atomic<bool> forked{false};

int default_procs()
{
    const char* const text = std::getenv("WEFT_PROCS");
    if (text == nullptr || *text == '\0')
        return std::min(sys::usable_cpus(), max_procs_limit);
    char* end = nullptr;
    errno = 0;
    const long n = std::strtol(text, &end, 10);
    if (*end != '\0' || errno != 0 || n < 1 || n > max_procs_limit)
        throw std::invalid_argument("weft: the environment's WEFT_PROCS is '" + std::string(text) +
                                    "'; it must be a number from 1 to " + std::to_string(max_procs_limit));
    return static_cast<int>(n);
}

/// `1M`, `512K`, `1G` or a number of bytes; 0: it is none of them, or out of range.
std::size_t parse_stack_size(const char* text) noexcept
{
    char* end = nullptr;
    errno = 0;
    const unsigned long long n = std::strtoull(text, &end, 10);
    unsigned shift = 0;
    if (*end == 'K' || *end == 'k')
        shift = 10;
    else if (*end == 'M' || *end == 'm')
        shift = 20;
    else if (*end == 'G' || *end == 'g')
        shift = 30;
    if (shift != 0)
        ++end;
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n > max_stack >> shift || n << shift < min_stack)
        return 0;
    return static_cast<std::size_t>(n << shift);
}

std::size_t default_stack_of_process()
{
    const char* const text = std::getenv("WEFT_STACK");
    if (text == nullptr || *text == '\0')
        return default_stack_size;
    const std::size_t size = parse_stack_size(text);
    if (size == 0)
        throw std::invalid_argument("weft: the environment's WEFT_STACK is '" + std::string(text) +
                                    "'; it must be a size from 16K to 8G: bytes, or a number with K, M or G");
    return size;
}

void check_options(const options& opt)
{
    if (opt.procs < 0 || opt.procs > max_procs_limit)
        throw std::invalid_argument("weft::options::procs is " + std::to_string(opt.procs) +
                                    "; it must be 0 (choose) or from 1 to " + std::to_string(max_procs_limit));
    if (opt.stack_size != 0 && (opt.stack_size < min_stack || opt.stack_size > max_stack))
        throw std::invalid_argument("weft::options::stack_size is " + std::to_string(opt.stack_size) +
                                    "; it must be 0 (choose) or from 16 KiB (16384) to 8 GiB (8589934592) bytes");
    if (opt.max_threads < 1)
        throw std::invalid_argument("weft::options::max_threads is " + std::to_string(opt.max_threads) +
                                    "; it must be 1 or more");
    if (opt.slice < std::chrono::milliseconds(1) || opt.slice > std::chrono::hours(1))
        throw std::invalid_argument("weft::options::slice is " + std::to_string(opt.slice.count()) +
                                    " ns; it must be from 1 ms to 1 hour");
    if (opt.hibernate_after < std::chrono::nanoseconds(0) || opt.hibernate_after > std::chrono::hours(24))
        throw std::invalid_argument("weft::options::hibernate_after is " + std::to_string(opt.hibernate_after.count()) +
                                    " ns; it must be from 0 (never) to 24 hours");
    if (opt.keep_threads < std::chrono::nanoseconds(0) || opt.keep_threads > std::chrono::hours(24))
        throw std::invalid_argument("weft::options::keep_threads is " + std::to_string(opt.keep_threads.count()) +
                                    " ns; it must be from 0 to 24 hours");
}

/// exit() was called on a goroutine. It alone goes on, as if it were a plain thread: what it waits for is not run by
/// the scheduler any more, and what is queued behind it never runs.
void stop_all_but(m& self) noexcept
{
    static g_list abandoned;
    self.current->flags |= g::a_thread;
    if (self.section.try_enter()) {
        take_all(*self.proc, abandoned);
        leave(self);
        return;
    }
    if (self.section.without_p()) {
        // No M gives a P away any more. One of its own will do, of which nobody else knows.
        static p own_proc(max_procs_limit);
        own_p(self, own_proc);
        leave(self);
        return;
    }
    enter(self);  // a thief was at it
    take_all(*self.proc, abandoned);
    leave(self);
}

/// An M meets the stop at its next call of ours. One whose goroutine blocks or computes may not make one soon: it is
/// left alone. One that only waits for a CPU is waited for, since it would run beside static destructors. `begin`: when
/// `used_at_stop` was read.
void wait_for_stop(const m& other, std::int64_t begin) noexcept
{
    constexpr std::int64_t blocked_after = 20'000'000;  // ns asleep
    constexpr std::int64_t hog_after = 30'000'000;      // ns of CPU time
    constexpr std::int64_t patience = 2'000'000'000;    // ns in all
    const int id = other.thread_id.load(base::memory_order_relaxed);
    std::int64_t last_runnable = begin;
    while (!other.stopped.load(base::memory_order_acquire)) {
        const std::int64_t now = sys::monotonic_now();
        const sys::thread_usage usage = sys::usage_of(id);
        if (usage.runnable)
            last_runnable = now;
        if (now - last_runnable > blocked_after || usage.cpu_ns - other.used_at_stop > hog_after ||
            now - begin > patience)
            return;
        sys::yield_thread();
    }
}

/// Goroutines that are left when the process exits have not leaked what they own, nor what is named after them.
void show_the_rest_to_leak_checkers() noexcept
{
    if constexpr (sys::leak_checker) {
        g_walk all;
        for (const g_row& row : all.rows())
            sys::keep_reachable(row.first, static_cast<std::size_t>(row.end - row.first) * sizeof(g));
        while (const g* const item = all.next()) {
            const g_state state = item->state.load(base::memory_order_acquire);
            if ((state != g_state::waiting && state != g_state::runnable) || (item->flags & g::no_stack) != 0 ||
                item->stack_top == nullptr)
                continue;
            const auto* const low = static_cast<const char*>(item->ctx.sp);
            static_cast<void>(*static_cast<const volatile char*>(low));  // puts a hibernated one back
            sys::keep_reachable(low, static_cast<std::size_t>(item->stack_top - low));
        }
    }
}

void stop_at_exit() noexcept
{
    if (forked.load(base::memory_order_relaxed))
        return;  // the child has no other thread
    m* const self = this_m();
    g* nobody = nullptr;
    if (!sched.exiting.compare_exchange_strong(nobody, self != nullptr ? self->current : this_thread_g()))
        return;
    sched.stopping.store(true);
    sched.start_hooks.fetch_add(1);
    if (self != nullptr)
        stop_all_but(*self);
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        p& proc = sched.at(i);
        proc.steal_lock.lock();
        if (m* const owner = proc.owner.load(base::memory_order_relaxed); owner != nullptr && owner != self)
            owner->section.stop_for_good();
        proc.steal_lock.unlock();
    }
    // Those without a P stop as well, at their next call.
    m* const all = sched.all_ms.load(base::memory_order_acquire);
    for (m* other = all; other != nullptr; other = other->next_made)
        other->used_at_stop = sys::usage_of(other->thread_id.load(base::memory_order_relaxed)).cpu_ns;
    const std::int64_t begin = sys::monotonic_now();
    for (m* other = all; other != nullptr; other = other->next_made)
        if (other != self)
            wait_for_stop(*other, begin);
    show_the_rest_to_leak_checkers();
}

void in_forked_child() noexcept
{
    forked.store(true, base::memory_order_relaxed);
    sched.stopping.store(true, base::memory_order_relaxed);  // nothing to stop: the threads are gone
    sched.start_hooks.fetch_add(1, base::memory_order_relaxed);
    stop_observer_in_child();
    restart_hibernation_in_child();
    if (m* const self = this_m(); self != nullptr)
        self->section.mark_forked();
}

/// A sanitizer that does not hear of switches takes goroutines for one thread's confused frames.
void say_if_sanitizers_differ() noexcept
{
    if (const sys::sanitizer_mismatch* const m = sys::sanitizer_of_program_alone(); m != nullptr)
        base::report("weft: this program is built with -fsanitize=%s and weft is not: %s; %s\n", m->sanitizer,
                     m->effect, m->cure);
}

void start(const options& opt)
{
    say_if_sanitizers_differ();
    check_options(opt);
    const int procs = opt.procs > 0 ? opt.procs : default_procs();
    set_default_stack(opt.stack_size != 0 ? opt.stack_size : default_stack_of_process());
    sys::init_membarrier(debugging().nomembarrier);
    sys::init_guards(debugging().noguardmarker);
    init_hibernation({.off = opt.hibernate_after.count() == 0 && !debugging().hibernate,
                      .depth_is_measured = debugging().stacks,
                      .no_userfault = debugging().nouserfault,
                      .no_memory_file = debugging().nomemoryfile,
                      .no_cold_spans = debugging().nocoldspans});
    start_hibernator(opt.hibernate_after.count(), debugging().hibernate);
    sched.max_ms = static_cast<std::uint32_t>(std::min<std::int64_t>(opt.max_threads, sys::thread_limit()));
    sched.slice.store(opt.slice.count(), base::memory_order_relaxed);
    sched.keep_idle_m.store(opt.keep_threads.count(), base::memory_order_relaxed);
    install_reports();
    start_observer(opt.dump_on_sigquit);
    start_measuring_depth();
    sched.cpus = static_cast<std::uint32_t>(sys::cpus_in_mask());
    set_procs(procs);
    sched.lock.lock();
    p* const first = take_idle_p(true);
    sched.lock.unlock();
    // Before sysmon: to it a P whose M does not come to anything is a reason for a spare M, which may be all that
    // options::max_threads allows.
    if (const int error = start_first_m(*first); error != 0)
        throw std::system_error(error, std::generic_category(),
                                "weft: can't start the first thread (see ulimit -u, the cgroup's pids.max)");
    start_sysmon();
    start_scavenger();
    static bool registered = false;
    if (!registered) {
        registered = true;
        std::atexit(&stop_at_exit);
        sys::at_fork(&hold_hibernation_for_fork, &release_hibernation_after_fork, &in_forked_child);
    }
}

}  // namespace

void ensure_started(const options& opt)
{
    if (forked.load(base::memory_order_relaxed))
        base::fatal(
            "weft was used after fork(), in the child: the threads that run goroutines are not there; after fork() "
            "call only exec or _exit, or start processes before weft::run");
    if (started.load(base::memory_order_acquire))
        return;
    boot_lock.lock();
    try {
        if (!started.load(base::memory_order_relaxed)) {
            start(opt);
            started.store(true, base::memory_order_release);
        }
    } catch (...) {
        boot_lock.unlock();
        throw;
    }
    boot_lock.unlock();
}

}  // namespace weft::rt

namespace weft {

namespace detail {

bool runtime_stopped() noexcept
{
    return rt::sched.stopping.load(base::memory_order_relaxed);
}

run_scope::run_scope(const options& opt) : detects_deadlock_(opt.detect_deadlock)
{
    if (rt::on_goroutine())
        throw std::logic_error(
            "weft::run was called inside a goroutine, where the runtime is running already: use "
            "weft::go or weft::async");
    rt::check_options(opt);
    rt::ensure_started(opt);
    if (opt.procs > 0)
        rt::set_procs(opt.procs);
    if (!detects_deadlock_)
        rt::sched.runs_without_detection.fetch_add(1, base::memory_order_relaxed);
    rt::sched.runs.fetch_add(1, base::memory_order_relaxed);
    rt::begin_run_reports();
}

run_scope::~run_scope()
{
    rt::end_run_reports();
    rt::sched.runs.fetch_sub(1, base::memory_order_relaxed);
    if (!detects_deadlock_)
        rt::sched.runs_without_detection.fetch_sub(1, base::memory_order_relaxed);
    static base::atomic<int> registrations{0};
    constexpr int most =
        64;  // each costs memory for good; programs that call run() that often keep nothing static in it
    if (registrations.fetch_add(1, base::memory_order_relaxed) < most)
        std::atexit(&rt::stop_at_exit);
}

}  // namespace detail

int max_procs(int n)
{
    if (n <= max_procs_limit && n >= 0)
        rt::ensure_started(options{});
    const int before = rt::set_procs(n);
    if (n > 0)
        rt::leave_retired_p();
    return before;
}

}  // namespace weft
