#include "rt/services/hibernate/hibernator.hpp"

#include <algorithm>
#include <array>

#include "rt/core/cold.hpp"
#include "rt/core/current.hpp"
#include "rt/core/g.hpp"
#include "rt/core/wait_reason.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/services/hibernate/visit_word.hpp"
#include "rt/stack/scavenging.hpp"
#include "rt/stack/stack.hpp"
#include "sys/clock.hpp"
#include "sys/cpus.hpp"
#include "sys/futex.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

// ns
constexpr std::int64_t millisecond = 1'000'000;
constexpr std::int64_t second = 1'000 * millisecond;
constexpr std::int64_t room_interval = 100 * millisecond;  // at 3 GB/s of new stacks: 300 MB
constexpr std::int64_t short_interval = 10 * millisecond;  // between passes while memory is short

constexpr std::uint64_t enough_stacks = 64;    // fewer than that, free ones of Ps included, are not worth a thread
constexpr std::uint64_t many_stacks = 16'384;  // 64 MiB: from here on memory may get short
constexpr std::uint64_t most_reserve =
    2'048U << 20U;                       // bytes; an eighth of the memory, but not more than this, is to stay free
constexpr std::int64_t busy_share = 30;  // of its time it sleeps 30 / 31 while goroutines run
constexpr std::int64_t idle_share = 1;   // and half of it while none does

visit_word visits;
base::atomic<bool> alive{false};    ///< set by the thread itself
base::atomic<bool> started{false};  ///< by sysmon alone
std::int64_t interval = second;     ///< options::hibernate_after; written at the start
bool eager = false;                 ///< written at the start
std::int64_t nudged_at = 0;         ///< by sysmon alone

/// Goroutines that are settled, on the way to hibernate().
class candidates {
public:
    /// What becomes of one that is visited.
    enum class visit : std::uint8_t { nothing, aged_now, taken };

    visit look_at(g& item, bool at_once) noexcept
    {
        // Whoever calls relieve() may be about to be left, in a section that goes on.
        if (!may_hibernate(item) || &item == caller())
            return visit::nothing;
        const wait_reason why = item.why.load(base::memory_order_relaxed);
        if (says_cold(why))
            return visit::nothing;
        if (!at_once && !says_aged(why))
            return mark_aged(item.why) ? visit::aged_now : visit::nothing;
        items_[count_++] = &item;
        return visit::taken;
    }
    [[nodiscard]] bool full() const noexcept { return count_ == items_.size(); }
    /// Precondition: the hibernation lock is held.
    std::size_t flush() noexcept
    {
        const std::size_t n = count_ == 0 ? 0 : hibernate(std::span(items_).first(count_));
        count_ = 0;
        return n;
    }

private:
    std::array<g*, hibernation_batch> items_{};
    std::size_t count_ = 0;
};

bool nothing_runs() noexcept
{
    return sched.idle.read().idle >= sched.procs.load(base::memory_order_relaxed);
}

std::uint64_t stacks_in_use() noexcept
{
    const stack_counts stacks = count_stacks();
    return stacks.made - std::min(stacks.free, stacks.made);
}

void look_at_memory() noexcept
{
    const sys::memory_room room = sys::read_memory_room();
    memory_is_short.store(room.stalls || room.available < std::min(room.total / 8, most_reserve),
                          base::memory_order_relaxed);
}

class worker {
public:
    [[noreturn]] void run() noexcept
    {
        for (;;) {
            visits.begin();
            const bool something = pass();
            const std::int64_t unpaid = sys::thread_cpu_now() - slice_began_;  // pace() has rested for all before
            const std::int64_t next = sys::monotonic_now() + std::max(something ? interval : std::min(interval, second),
                                                                      eager ? 0 : busy_share * unpaid);
            stop_at_exit();
            if (!something && visits.fall_asleep())
                sleep_until_asked();
            rest_until(next);
        }
    }

private:
    /// One visit to all. False: there is nothing left to do, and will not be before something has run: what could not
    /// be taken away stays for the next time.
    bool pass() noexcept
    {
        bool something = false;
        slice_began_ = sys::thread_cpu_now();
        g_walk all;
        while (g* const item = all.next()) {
            something |= found_.look_at(*item, false) == candidates::visit::aged_now;
            if (found_.full())
                something |= take();
        }
        something |= take();
        return something;
    }

    /// Whether any was taken.
    bool take() noexcept
    {
        lock_hibernation();
        const std::size_t n = found_.flush();
        unlock_hibernation();
        stop_at_exit();
        pace();
        return n != 0;
    }

    void pace() noexcept
    {
        constexpr std::int64_t at_a_time = millisecond;
        const std::int64_t spent = sys::thread_cpu_now() - slice_began_;
        if (spent < at_a_time)
            return;
        if (!eager && !memory_is_short.load(base::memory_order_relaxed))
            rest_until(sys::monotonic_now() + spent * (nothing_runs() ? idle_share : busy_share));
        slice_began_ = sys::thread_cpu_now();
    }

    /// Sleeps, with an eye on the memory where it may get short; not for long when it is.
    void rest_until(std::int64_t end) noexcept
    {
        for (;;) {
            const std::int64_t now = sys::monotonic_now();
            const bool many = stacks_in_use() >= many_stacks;
            if (!many) {
                memory_is_short.store(false, base::memory_order_relaxed);
            } else if (now >= look_at_) {
                look_at_memory();
                look_at_ = now + room_interval;
            }
            const bool is_short = memory_is_short.load(base::memory_order_relaxed);
            if (now >= end)
                return;
            sys::sleep_thread(std::min(end - now, is_short ? short_interval : many ? room_interval : second));
            stop_at_exit();
            if (is_short)
                return;
        }
    }

    static void sleep_until_asked() noexcept
    {
        memory_is_short.store(false, base::memory_order_relaxed);
        while (visits.sleeps())
            sys::futex_wait(visits.word(), visit_word::asleep);
        stop_at_exit();
    }

    /// Beside static destructors it does nothing any more.
    static void stop_at_exit() noexcept
    {
        if (sched.stopping.load(base::memory_order_relaxed))
            for (const base::atomic<std::uint32_t> forever{0};;)
                sys::futex_wait(forever, 0);
    }

    candidates found_;
    std::int64_t slice_began_ = 0;  ///< CPU time, ns
    std::int64_t look_at_ = 0;      ///< when to look at the memory again, ns
};

void* hibernator_main(void*) noexcept
{
    sys::name_this_thread("weft-cold");
    alive.store(true, base::memory_order_seq_cst);
    sys::block_signals();  // no handler of the program's runs here, and touches a stack whose stripe is held
    static worker instance;
    instance.run();
}

}  // namespace

void start_hibernator(std::int64_t after, bool at_once) noexcept
{
    interval = at_once ? millisecond : after;
    eager = at_once;
}

bool hibernator_runs() noexcept
{
    return alive.load(base::memory_order_seq_cst);
}

void nudge_hibernator(std::int64_t now, bool last) noexcept
{
    if (!last && now - nudged_at < std::min(interval, second))
        return;
    nudged_at = now;
    if (!can_hibernate())
        return;
    if (started.load(base::memory_order_relaxed)) {
        if (visits.ask())
            sys::futex_wake(&visits.word(), 1);
    } else if (eager || stacks_in_use() >= enough_stacks) {
        started.store(sys::start_thread(&hibernator_main, nullptr) == 0, base::memory_order_relaxed);
    }
}

void relieve_slow() noexcept
{
    static g_walk at;         // where it goes on; guarded by the hibernation lock
    static candidates found;  // guarded by it
    constexpr int most_looks = 2'048;
    if (!try_lock_hibernation())
        return;  // somebody is at it
    for (int i = 0; i < most_looks && !found.full(); ++i) {
        g* const item = at.next();
        if (item == nullptr) {
            at = g_walk();
            break;
        }
        (void)found.look_at(*item, false);
    }
    (void)found.flush();
    unlock_hibernation();
}

std::size_t hibernate_all() noexcept
{
    if (!can_hibernate())
        return 0;
    static candidates found;  // guarded by the hibernation lock
    std::size_t n = 0;
    lock_hibernation();
    g_walk all;
    while (g* const item = all.next()) {
        (void)found.look_at(*item, true);
        if (found.full())
            n += found.flush();
    }
    n += found.flush();
    unlock_hibernation();
    return n;
}

}  // namespace weft::rt
