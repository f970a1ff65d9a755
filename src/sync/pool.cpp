// pool: a part for each P, under a lock that nobody else usually takes. The number of the P is a hint, so that nothing
// depends on it.
//
// Giving back: Go's pool loses its objects in the second garbage collection that finds them unused (the victim cache).
// Here a period of the clock, looked at now and then by put(), takes the collection's place: what was put in this
// period, what in the one before; what is older is destroyed.
#include "weft/pool.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/cpu.hpp"
#include "rt/rt.hpp"
#include "sys/clock.hpp"
#include "sys/lock.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t most_in_shard = 256;
constexpr std::size_t most_shards = 64;
constexpr std::int64_t period = 1'000'000'000;  // ns
constexpr std::uint32_t look_every = 16;        // put() calls; the clock costs more than they do

}  // namespace

struct alignas(base::cache_line) pool_core::shard {
    sys::lock_word lock;
    // Guarded by lock:
    std::uint32_t puts = 0;
    std::int64_t since = 0;      ///< when `fresh` began; ns
    std::vector<void*> fresh;    ///< of this period
    std::vector<void*> victims;  ///< of the one before

    /// All under the lock. Null when there is none.
    void* take() noexcept
    {
        std::vector<void*>& from = fresh.empty() ? victims : fresh;
        if (from.empty())
            return nullptr;
        void* const object = from.back();
        from.pop_back();
        return object;
    }
    /// At the end of a period: what is to be destroyed.
    std::vector<void*> age() noexcept
    {
        std::vector<void*> old;
        if (++puts % look_every != 0)
            return old;
        const std::int64_t now = sys::monotonic_now();
        if (now - since < period)
            return old;
        since = now;
        old.swap(victims);
        victims.swap(fresh);
        return old;
    }
};

pool_core::pool_core(destroyer destroy)
    : destroy_(destroy),
      shards_(std::bit_ceil(std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, most_shards))),
      shard_(new shard[shards_])
{
}

pool_core::~pool_core()
{
    clear();
}

pool_core::shard& pool_core::nearest() const noexcept
{
    return shard_[rt::shard_hint() & (shards_ - 1)];
}

void* pool_core::get() noexcept
{
    shard& own = nearest();
    {
        const std::lock_guard guard(own.lock);
        if (void* const object = own.take())
            return object;
    }
    for (std::size_t i = 0; i < shards_; ++i) {
        shard& other = shard_[i];
        if (&other == &own || !other.lock.try_lock())
            continue;
        void* const object = other.take();
        other.lock.unlock();
        if (object != nullptr)
            return object;
    }
    return nullptr;
}

void pool_core::put(void* object) noexcept
{
    std::vector<void*> old;
    shard& own = nearest();
    {
        const std::lock_guard guard(own.lock);
        old = own.age();
        try {
            if (own.fresh.size() < most_in_shard) {
                own.fresh.push_back(object);
                object = nullptr;
            }
        } catch (const std::bad_alloc&) {
            // No memory to remember it: it goes.
        }
    }
    if (object != nullptr)
        destroy_(object);
    for (void* const each : old)
        destroy_(each);
}

void pool_core::clear() noexcept
{
    for (std::size_t i = 0; i < shards_; ++i) {
        std::vector<void*> fresh;
        std::vector<void*> victims;
        {
            const std::lock_guard guard(shard_[i].lock);
            fresh.swap(shard_[i].fresh);
            victims.swap(shard_[i].victims);
        }
        for (void* const each : fresh)
            destroy_(each);
        for (void* const each : victims)
            destroy_(each);
    }
}

std::size_t pool_core::size() const noexcept
{
    std::size_t n = 0;
    for (std::size_t i = 0; i < shards_; ++i) {
        const std::lock_guard guard(shard_[i].lock);
        n += shard_[i].fresh.size() + shard_[i].victims.size();
    }
    return n;
}

}  // namespace weft::detail
