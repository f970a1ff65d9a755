// Hibernation (src/rt/services/hibernate/hibernate.cpp, begin_run() and the parks of src/rt/sched/sched.cpp;
// docs/design/hibernation.md): a stack is taken away while its goroutine is woken, runs, parks again and is woken a
// second time, while others touch it, and while somebody else hibernates too. Nobody runs on a stack that is away or on
// its way, and no write is lost.
//
// The bits in g::why are the shipped cold.hpp, an M's section the shipped section_word.hpp. Around them hibernate(),
// thaw(), restore_at(), kept_stack, leave_for_next(), finish_outside() and begin_run() in the same steps, with one
// stack of one page. Left out: that stacks are taken away in groups, under one lock of the stripe, and control blocks
// that are used again.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "rt/core/cold.hpp"
#include "rt/core/section_word.hpp"
#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::base::atomic;
using weft::base::memory_order_acquire;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_release;
using weft::rt::wait_reason;

/// What a variant does wrong, to show that it matters.
enum class mistake : std::uint8_t {
    none,
    no_heavy_barrier,         ///< H2
    no_wait_for_sections,     ///< H3
    no_second_look,           ///< H5
    why_before_state,         ///< in H5
    cleared_after_unlock,     ///< cold, by who puts a stack back
    not_cleared,              ///< the same, not at all by a stray access
    waiting_before_switch,    ///< the state, before the context is saved, outside of a section
    packed_while_writable,    ///< H6
    away_while_accessible,    ///< H6
    hibernates_without_lock,  ///< the hibernation lock
    takes_what_is_kept,       ///< H5
    brings_back_only,         ///< for a system call, and does not keep it there
    looks_before_it_keeps,    ///< whether anything was ever taken away, which is told afterwards
};

enum class state : std::uint8_t { runnable, running, waiting };

/// The one page of the stack, as the machine has it: what it holds, and who may. An instruction that touches it does so
/// in one step, or faults. A store that is done may be in a store buffer still when the page's access is taken away,
/// but the interrupt by which all CPUs learn of that drains those: so no step of the page is less than a full fence.
class stack_page {
public:
    enum access : std::uint32_t { all, read, none, away };

    [[nodiscard]] bool try_read(std::uint32_t& value) const
    {
        const std::uint32_t seen = word_.load();
        value = seen / 4;
        return seen % 4 <= read;
    }
    [[nodiscard]] bool try_increment()
    {
        std::uint32_t seen = word_.load();
        do {
            if (seen % 4 != all)
                return false;
        } while (!word_.compare_exchange_strong(seen, seen + 4));
        return true;
    }
    void set_access(access how)
    {
        std::uint32_t seen = word_.load();
        while (!word_.compare_exchange_strong(seen, seen / 4 * 4 + how)) {
        }
    }
    /// Its contents are gone with it.
    void discard() { word_.store(away); }
    void put_back(std::uint32_t value) { word_.store(value * 4 + all); }

private:
    atomic<std::uint32_t> word_{all};
};

struct one_goroutine {
    atomic<wait_reason> why{wait_reason::none};
    atomic<state> status{state::running};
    atomic<int> queued{0};  ///< 1: it waits and somebody may wake it; 2: it is runnable and somebody may run it
    plain<int> context{0};
    std::array<weft::rt::section_word, 2> ms;  ///< of the Ms that run it
    stack_page page;
    lock stripe;
    plain<std::uint32_t> packed{0};  ///< guarded by stripe
    plain<int> is_away{0};           ///< guarded by stripe: the note
    plain<int> kept{0};              ///< guarded by stripe: kept_stacks
    atomic<int> ever_taken{0};       ///< looks_before_it_keeps alone
    lock hibernating;
    ghost<bool> on_it{true};
    ghost<bool> in_between{false};  ///< on the way there or back
    ghost<std::uint32_t> written{0};
    const mistake wrong;

    explicit one_goroutine(mistake m) : wrong(m)
    {
        name(why, "why");
        name(status, "state");
        name(queued, "queue");
        name(context, "context");
        name(ms[0], "section_word of M1");
        name(ms[1], "section_word of M2");
        for (weft::rt::section_word& own : ms) {
            own.come_back();
            own.exit();
        }
        name(page, "page");
        name(stripe, "stripe");
        name(packed, "packed");
        name(is_away, "note");
        name(kept, "kept");
        name(hibernating, "hibernation lock");
    }

    // -- the goroutine

    /// It computes.
    void run_on()
    {
        check(on_it.get(), "it runs");
        check(page.try_increment(), "a goroutine's own stack is there");
        written.set(written.get() + 1);
    }
    /// In a section: the state says waiting before the context is saved.
    void park(int m)
    {
        weft::rt::section_word& own = ms[static_cast<std::size_t>(m)];
        check(own.try_enter(), "nobody else claims this M");
        why.store(wait_reason::mutex, memory_order_relaxed);  // begin_park()
        status.store(state::waiting, memory_order_release);
        context.set(context.get() + 1);
        on_it.set(false);
        queued.store(1, memory_order_release);  // its commit_fn
        own.exit();
    }
    /// Without a P there is no section: the state waits for the context.
    void park_outside()
    {
        why.store(wait_reason::mutex, memory_order_relaxed);
        if (wrong == mistake::waiting_before_switch)
            status.store(state::waiting, memory_order_release);
        context.set(context.get() + 1);
        on_it.set(false);
        if (wrong != mistake::waiting_before_switch)
            status.store(state::waiting, memory_order_release);  // finish_outside()
        queued.store(1, memory_order_release);
    }
    [[nodiscard]] bool take(int seen)
    {
        return queued.compare_exchange_strong(seen, 0, memory_order_acquire, memory_order_relaxed);
    }
    void begin_run()
    {
        status.store(state::running, memory_order_relaxed);       // W1
        weft::base::light_compiler_fence();                       // W2
        if (weft::rt::says_cold(why.load(memory_order_relaxed)))  // W3
            put_back(true);
        check(!in_between.get(), "a stack that is away, or on its way, and its goroutine runs");
        on_it.set(true);
        (void)context.get();
    }
    /// By one M: through its own queue, where nothing drains its store buffer.
    void wake_and_run()
    {
        block_until([this] { return queued.load(memory_order_relaxed) == 1; });
        check(take(1), "nobody else wakes it");
        status.store(state::runnable, memory_order_relaxed);
        begin_run();
        run_on();
        park(1);
    }
    /// By two.
    void wake()
    {
        block_until([this] { return queued.load(memory_order_relaxed) == 1; });
        check(take(1), "nobody else wakes it");
        status.store(state::runnable, memory_order_relaxed);
        queued.store(2, memory_order_release);
    }
    void run_woken()
    {
        block_until([this] { return queued.load(memory_order_relaxed) == 2; });
        check(take(2), "nobody else runs it");
        begin_run();
        run_on();
        park(1);
    }

    // -- who puts it back

    /// thaw() and restore_at()
    void put_back(bool to_run)
    {
        stripe.acquire();
        const bool was_away = is_away.get() != 0;
        if (was_away) {
            page.put_back(packed.get());
            is_away.set(0);
            in_between.set(false);
        }
        const bool clears = (was_away || to_run) && (to_run || wrong != mistake::not_cleared);
        if (clears && wrong != mistake::cleared_after_unlock)
            weft::rt::clear_cold(why);
        stripe.release();
        if (clears && wrong == mistake::cleared_after_unlock)
            weft::rt::clear_cold(why);
    }
    void stray_write()
    {
        while (!page.try_increment())
            put_back(false);
        written.set(written.get() + 1);
    }
    void stray_read()
    {
        const std::uint32_t before = written.get();
        std::uint32_t value = 0;
        while (!page.try_read(value))
            put_back(false);
        check(value >= before, "a read finds what was written before");
    }

    /// By another goroutine, with an address in it: kept_stack. Where the page is missing, the kernel says EFAULT.
    void system_call()
    {
        if (wrong == mistake::looks_before_it_keeps && ever_taken.load(memory_order_relaxed) == 0) {
            check(page.try_increment(), "a system call finds its memory");
            written.set(written.get() + 1);
            return;
        }
        stripe.acquire();
        if (wrong != mistake::brings_back_only)
            kept.set(kept.get() + 1);
        const bool missing = is_away.get() != 0;
        stripe.release();
        if (missing)
            put_back(false);
        check(page.try_increment(), "a system call finds its memory");
        written.set(written.get() + 1);
        if (wrong == mistake::brings_back_only)
            return;
        stripe.acquire();
        kept.set(kept.get() - 1);
        stripe.release();
    }

    // -- who takes it away

    [[nodiscard]] bool is_parked_and_cold()
    {
        if (wrong == mistake::no_second_look)
            return true;
        if (wrong == mistake::why_before_state)
            return weft::rt::says_cold(why.load(memory_order_acquire)) &&
                   status.load(memory_order_acquire) == state::waiting;
        return status.load(memory_order_acquire) == state::waiting &&
               weft::rt::says_cold(why.load(memory_order_acquire));
    }
    void hibernate()
    {
        if (wrong != mistake::hibernates_without_lock)
            hibernating.acquire();
        if (status.load(memory_order_relaxed) == state::waiting && weft::rt::make_cold(why)) {  // H1
            if (wrong != mistake::no_heavy_barrier)
                weft::sys::heavy_fence();  // H2
            if (wrong != mistake::no_wait_for_sections)
                for (const weft::rt::section_word& m : ms)  // H3
                    block_until([&m] { return !m.may_hold_locks(); });
            stripe.acquire();  // H4
            if (is_parked_and_cold() && is_away.get() == 0 && (kept.get() == 0 || wrong == mistake::takes_what_is_kept))
                take_away();  // H5
            else
                weft::rt::give_up_cold(why);
            stripe.release();
            ever_taken.store(1, memory_order_relaxed);
        }
        if (wrong != mistake::hibernates_without_lock)
            hibernating.release();
    }
    void take_away()  // H6
    {
        check(!on_it.get(), "a stack is taken away on which somebody runs");
        in_between.set(true);
        (void)context.get();
        if (wrong != mistake::packed_while_writable)
            page.set_access(stack_page::read);
        std::uint32_t value = 0;
        check(page.try_read(value), "what is packed is there");
        packed.set(value);
        if (wrong != mistake::away_while_accessible)
            page.set_access(stack_page::none);
        else
            page.put_back(0);  // discarded, not marked yet
        page.discard();
        is_away.set(1);
        check(!on_it.get(), "a stack is taken away on which somebody runs");
    }
    /// Marks it as settled, as a visit before the one that hibernates it does.
    void mark_aged()
    {
        if (status.load(memory_order_relaxed) == state::waiting)
            (void)weft::rt::mark_aged(why);
    }

    void end()
    {
        const bool away = is_away.get() != 0;
        check(weft::rt::says_cold(why.load()) == away, "what says cold is away, and the reverse");
        if (away)
            put_back(false);
        std::uint32_t value = 0;
        check(page.try_read(value) && value == written.get(), "nothing that was written is lost");
    }
};

/// A goroutine that parks, is woken, parks again, and hibernation at any time.
struct against_wakers : one_goroutine {
    static constexpr int threads = 3;
    using one_goroutine::one_goroutine;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"M1", "M2", "hibernator"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                run_on();
                park(0);
                break;
            case 1:
                wake_and_run();
                wake_and_run();
                break;
            default:
                hibernate();
                hibernate();
        }
    }
};

/// The same where it parks on an M without a P at first.
struct against_one_without_p : against_wakers {
    using against_wakers::against_wakers;
    void run(int thread)
    {
        if (thread != 0) {
            against_wakers::run(thread);
            return;
        }
        run_on();
        park_outside();
    }
};

TEST(model_hibernate, nobody_runs_on_a_stack_that_is_away)
{
    EXPECT_EXPLORED(explore<against_wakers>({.preemptions = bound(4, unbounded)}, mistake::none));
}

TEST(model_hibernate, needs_its_heavy_barrier)
{
    EXPECT_BROKEN("a stack is taken away on which somebody runs",
                  explore<against_wakers>({}, mistake::no_heavy_barrier));
    EXPECT_BROKEN("a stack is taken away on which somebody runs",
                  explore<against_wakers>({.omit_heavy_barrier = true}, mistake::none));
    EXPECT_EXPLORED(explore<against_wakers>({.model = memory::sc}, mistake::no_heavy_barrier));
}

TEST(model_hibernate, looks_again_after_the_barrier)
{
    EXPECT_BROKEN("a stack is taken away on which somebody runs", explore<against_wakers>({}, mistake::no_second_look));
}

TEST(model_hibernate, looks_at_the_state_before_the_reason)
{
    EXPECT_BROKEN("data race", explore<against_wakers>({}, mistake::why_before_state));
}

TEST(model_hibernate, nobody_runs_on_a_stack_that_is_away_without_a_p)
{
    EXPECT_EXPLORED(explore<against_one_without_p>({.preemptions = bound(3, unbounded)}, mistake::none));
}

TEST(model_hibernate, waits_for_the_end_of_sections)
{
    EXPECT_BROKEN("data race", explore<against_wakers>({}, mistake::no_wait_for_sections));
}

TEST(model_hibernate, without_a_section_waits_only_when_its_context_is_saved)
{
    EXPECT_BROKEN("data race", explore<against_one_without_p>({}, mistake::waiting_before_switch));
}

/// One wakes, another one runs; each goroutine's run may be followed by another at once.
struct against_waker_and_runner : one_goroutine {
    static constexpr int threads = 4;
    using one_goroutine::one_goroutine;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"M1", "waker", "M2", "hibernator"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                park(0);
                break;
            case 1:
                wake();
                wake();
                break;
            case 2:
                run_woken();
                run_woken();
                break;
            default:
                mark_aged();
                hibernate();
                hibernate();
        }
    }
};

TEST(model_hibernate, one_wakes_another_runs)
{
    EXPECT_EXPLORED(explore<against_waker_and_runner>({.preemptions = bound(3, 5)}, mistake::none));
}

/// Stray accesses as well.
struct against_others : one_goroutine {
    static constexpr int threads = 4;
    using one_goroutine::one_goroutine;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"M1", "M2", "hibernator", "stranger"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                park(0);
                break;
            case 1:
                wake_and_run();
                wake_and_run();
                break;
            case 2:
                hibernate();
                hibernate();
                break;
            default:
                stray_write();
                stray_read();
        }
    }
};

TEST(model_hibernate, others_may_touch_it_at_any_time)
{
    EXPECT_EXPLORED(explore<against_others>({.preemptions = bound(2, 4)}, mistake::none));
}

TEST(model_hibernate, cold_is_cleared_under_the_lock)
{
    EXPECT_BROKEN("what says cold is away", explore<against_others>({}, mistake::cleared_after_unlock));
}

TEST(model_hibernate, cold_is_cleared_by_who_puts_a_stack_back)
{
    EXPECT_BROKEN("what says cold is away", explore<against_others>({}, mistake::not_cleared));
}

TEST(model_hibernate, packs_what_nobody_can_write_to)
{
    EXPECT_BROKEN("nothing that was written is lost", explore<against_others>({}, mistake::packed_while_writable));
}

TEST(model_hibernate, discards_what_nobody_can_see)
{
    EXPECT_BROKEN("a read finds what was written before", explore<against_others>({}, mistake::away_while_accessible));
}

/// Two strangers, who find it missing both.
struct two_strangers : one_goroutine {
    static constexpr int threads = 4;
    using one_goroutine::one_goroutine;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"stranger A", "stranger B", "hibernator", "M"};
        return names[static_cast<std::size_t>(i)];
    }
    explicit two_strangers(mistake m) : one_goroutine(m) { park(0); }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                stray_write();
                stray_write();
                break;
            case 1:
                stray_write();
                stray_read();
                break;
            case 2:
                hibernate();
                hibernate();
                break;
            default:
                wake_and_run();
        }
    }
};

TEST(model_hibernate, two_faults_at_once)
{
    EXPECT_EXPLORED(explore<two_strangers>({.preemptions = bound(2, 4)}, mistake::none));
}

/// System calls with addresses in it, while it is taken away for the first time, comes back, and again.
struct against_system_calls : one_goroutine {
    static constexpr int threads = 4;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"caller A", "caller B", "hibernator", "M"};
        return names[static_cast<std::size_t>(i)];
    }
    explicit against_system_calls(mistake m) : one_goroutine(m) { park(0); }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                system_call();
                system_call();
                break;
            case 1:
                system_call();
                break;
            case 2:
                hibernate();
                hibernate();
                break;
            default:
                wake_and_run();
        }
    }
    void end()
    {
        check(kept.get() == 0, "all have let it go");
        one_goroutine::end();
    }
};

TEST(model_hibernate, what_system_calls_are_given_is_there)
{
    EXPECT_EXPLORED(explore<against_system_calls>({.preemptions = bound(2, 4)}, mistake::none));
}

TEST(model_hibernate, kept_is_left_alone)
{
    EXPECT_BROKEN("a system call finds its memory", explore<against_system_calls>({}, mistake::takes_what_is_kept));
}

TEST(model_hibernate, brought_back_is_not_kept)
{
    EXPECT_BROKEN("a system call finds its memory", explore<against_system_calls>({}, mistake::brings_back_only));
}

TEST(model_hibernate, keeps_before_it_looks)
{
    EXPECT_BROKEN("a system call finds its memory", explore<against_system_calls>({}, mistake::looks_before_it_keeps));
}

/// Somebody else hibernates too: testing::hibernate_parked(), or who needs memory.
struct two_hibernators : one_goroutine {
    static constexpr int threads = 4;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"hibernator A", "hibernator B", "M", "stranger"};
        return names[static_cast<std::size_t>(i)];
    }
    explicit two_hibernators(mistake m) : one_goroutine(m) { park(0); }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                hibernate();
                break;
            case 1:
                hibernate();
                break;
            case 2:
                wake_and_run();
                wake_and_run();
                break;
            default:
                stray_write();
        }
    }
};

TEST(model_hibernate, two_hibernate)
{
    EXPECT_EXPLORED(explore<two_hibernators>({.preemptions = bound(2, 4)}, mistake::none));
}

TEST(model_hibernate, one_at_a_time_hibernates)
{
    EXPECT_BROKEN("what says cold is away", explore<two_hibernators>({}, mistake::hibernates_without_lock));
}

}  // namespace
