// Whether the hibernator is to visit all goroutines once more, and whether it sleeps: one word, its futex.
//
// | value    | set by     |                                                                   |
// |----------|------------|-------------------------------------------------------------------|
// | asked    | sysmon     | something has run since the last visit began                      |
// | visiting | hibernator | not since then                                                    |
// | asleep   | hibernator | nor has that visit found anything to do: it sleeps until asked    |
//
// What has parked before ask() is seen by a visit that begins after it; test/model/hibernator_test.cpp.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::rt {

class visit_word {
public:
    /// By sysmon. True: the hibernator sleeps; wake it.
    [[nodiscard]] bool ask() noexcept
    {
        return word_.exchange(asked, base::memory_order_acq_rel) == asleep;  // pairs with begin(), fall_asleep()
    }
    /// By the hibernator, before a visit: meets all that was asked for until now.
    void begin() noexcept { (void)word_.exchange(visiting, base::memory_order_acq_rel); }
    /// After one that has found nothing to do. False: there is to be another one.
    [[nodiscard]] bool fall_asleep() noexcept
    {
        std::uint32_t seen = visiting;
        return word_.compare_exchange_strong(seen, asleep, base::memory_order_acq_rel, base::memory_order_acquire);
    }
    [[nodiscard]] bool sleeps() const noexcept { return word_.load(base::memory_order_acquire) == asleep; }

    static constexpr std::uint32_t asleep = 2;
    [[nodiscard]] const base::atomic<std::uint32_t>& word() const noexcept { return word_; }

private:
    static constexpr std::uint32_t asked = 0;
    static constexpr std::uint32_t visiting = 1;
    base::atomic<std::uint32_t> word_{asked};
};

}  // namespace weft::rt
