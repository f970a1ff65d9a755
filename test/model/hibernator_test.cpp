// The hibernator's sleep (src/rt/services/hibernate/visit_word.hpp, worker::run() of hibernator.cpp, sleep_while_idle()
// of src/rt/sched/sysmon.cpp): when nothing runs any more, a visit has begun after the last goroutine parked; and the
// hibernator sleeps then for good.
//
// The word is the shipped one. Around it an M that runs goroutines and goes idle, sysmon and the hibernator in the
// steps of those files. Left out: that sysmon asks at intervals too while something runs.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "rt/services/hibernate/visit_word.hpp"

namespace {

using namespace weft::model;
using weft::base::atomic;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_seq_cst;

enum class mistake : std::uint8_t {
    none,
    asks_before_it_is_deep,  ///< sysmon: what parks in between is not asked for
    does_not_ask,            ///< sysmon, when it goes to sleep
    begins_after_the_visit,  ///< hibernator
    sleeps_without_looking,  ///< the same
};

constexpr int goroutines = 2;

struct idle_process {
    static constexpr int threads = 3;
    enum : std::uint32_t { awake, deep };

    weft::rt::visit_word word;
    atomic<std::uint32_t> sysmon_nap{awake};
    atomic<int> busy{0};    ///< the P
    atomic<int> parked{0};  ///< so many goroutines
    atomic<int> asleep{0};  ///< not in the code: 1: the M has ended; 2: sysmon, which nothing wakes any more
    ghost<int> seen{0};     ///< by the visit that began last
    const mistake wrong;

    explicit idle_process(mistake m) : wrong(m)
    {
        name(word, "visit_word");
        name(sysmon_nap, "sysmon_nap");
        name(busy, "busy");
        name(parked, "parked");
        name(asleep, "asleep");
    }
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, threads> names{"M", "sysmon", "hibernator"};
        return names[static_cast<std::size_t>(i)];
    }

    void run_goroutines()
    {
        for (int i = 1; i <= goroutines; ++i) {
            (void)busy.exchange(1);  // take_idle_p(): under a lock, with a change of the idle word
            std::uint32_t nap = deep;
            if (sysmon_nap.load(memory_order_seq_cst) == deep)
                (void)sysmon_nap.compare_exchange_strong(nap, awake);
            parked.store(i, memory_order_relaxed);
            (void)busy.exchange(0);  // list_idle_p(): the same
        }
        asleep.store(1);
    }

    void ask()
    {
        if (wrong != mistake::does_not_ask)
            (void)word.ask();  // the hibernator's wait sees it
    }
    void watch()
    {
        for (;;) {
            block_until([this] { return busy.load(memory_order_relaxed) == 0; });
            if (wrong == mistake::asks_before_it_is_deep)
                ask();
            sysmon_nap.store(deep, memory_order_seq_cst);
            if (busy.load(memory_order_relaxed) == 0) {
                if (wrong != mistake::asks_before_it_is_deep)
                    ask();
                block_until([this] { return sysmon_nap.load() != deep || asleep.load() == 1; });
                if (sysmon_nap.load() == deep)
                    break;
            }
            sysmon_nap.store(awake, memory_order_relaxed);
        }
        asleep.store(2);
    }

    void hibernate()
    {
        for (;;) {
            if (wrong != mistake::begins_after_the_visit)
                word.begin();
            seen.set(parked.load(memory_order_relaxed));
            if (wrong == mistake::begins_after_the_visit)
                word.begin();
            const bool sleeps = word.fall_asleep();
            if (!sleeps && wrong != mistake::sleeps_without_looking)
                continue;
            block_until([this] { return !word.sleeps() || asleep.load() == 2; });
            if (word.sleeps() || wrong == mistake::sleeps_without_looking)
                return;
        }
    }

    void run(int thread)
    {
        switch (thread) {
            case 0:
                run_goroutines();
                break;
            case 1:
                watch();
                break;
            default:
                hibernate();
        }
    }
    void end() { check(seen.get() == goroutines, "what is parked is visited"); }
};

TEST(model_hibernator, visits_all_that_has_parked)
{
    EXPECT_EXPLORED(explore<idle_process>({.preemptions = bound(3, unbounded)}, mistake::none));
}

TEST(model_hibernator, needs_each_of_its_steps)
{
    for (const mistake m : {mistake::asks_before_it_is_deep, mistake::does_not_ask, mistake::begins_after_the_visit,
                            mistake::sleeps_without_looking})
        EXPECT_BROKEN("what is parked is visited", explore<idle_process>({}, m));
}

}  // namespace
