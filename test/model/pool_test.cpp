// weft::pool (include/weft/pool.hpp, src/sync/pool.cpp): nobody has the same object as another one, none is lost, and
// what was done with one before put() is seen after get().
//
// The shipped core over the modelled lock, with two parts. Its vectors are no state that the explorer knows of, so no
// state is taken for one that it has seen: all schedules within the bound are run.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <thread>

#include "rt/rt.hpp"
#include "sync/pool.cpp"

// The number of parts, whatever machine this is: a part has a lock, and the explorer knows 64 variables.
unsigned std::thread::hardware_concurrency() noexcept
{
    return 2;
}

namespace weft::rt {

std::size_t shard_hint() noexcept
{
    return static_cast<std::size_t>(model::this_thread());
}

}  // namespace weft::rt

namespace {

using namespace weft::model;

constexpr int objects = 3;

struct item {
    plain<int> uses{0};
    ghost<int> users{0};
    ghost<bool> destroyed{false};
};

/// The first `Prepared` objects lie in the pool at the beginning, in the part of thread 0.
struct stocked : runtime {
    std::array<item, objects> items;
    weft::detail::pool_core pool{[](void* object) noexcept
                                 {
                                     auto& it = *static_cast<item*>(object);
                                     check(!it.destroyed.get(), "an object is destroyed twice");
                                     it.destroyed.set(true);
                                 }};

    void use(item& it)
    {
        it.users.set(it.users.get() + 1);
        check(it.users.get() == 1 && !it.destroyed.get(), "two have the same object, or it is gone");
        it.uses.set(it.uses.get() + 1);
        it.users.set(it.users.get() - 1);
    }
    /// As pool::get() has it, without a factory.
    item* get_and_use()
    {
        auto* const it = static_cast<item*>(pool.get());
        if (it != nullptr)
            use(*it);
        return it;
    }
    void put(int which)
    {
        item& it = items[static_cast<std::size_t>(which)];
        use(it);
        pool.put(&it);
    }
    void check_all(std::size_t there)
    {
        check(pool.size() == there, "an object was lost or doubled");
        pool.clear();
        for (item& it : items)
            check(it.destroyed.get(), "an object is left");
    }
};

/// Each puts its own object, takes any, and puts that back: across parts too.
template <int Threads>
struct exchanged : stocked {
    static constexpr int threads = Threads;
    void run(int thread)
    {
        put(thread);
        if (item* const it = get_and_use())
            pool.put(it);
    }
    void end()
    {
        for (int i = Threads; i < objects; ++i)
            put(i);
        check_all(objects);
    }
};

TEST(model_pool, objects_pass_from_hand_to_hand)
{
    EXPECT_EXPLORED(explore<exchanged<2>>({.preemptions = bound(3, 5), .prune = false}));
    EXPECT_EXPLORED(explore<exchanged<3>>({.preemptions = bound(2, 3), .prune = false}));
}

/// Cleared meanwhile.
struct cleared : stocked {
    static constexpr int threads = 3;
    ghost<int> taken{0};
    void run(int thread)
    {
        if (thread == 2) {
            pool.clear();
            return;
        }
        put(thread);
        if (item* const it = get_and_use())
            pool.put(it);
    }
    void end()
    {
        put(2);
        pool.clear();
        for (item& it : items)
            check(it.destroyed.get(), "an object is left");
        check(pool.size() == 0, "an object is left");
    }
};

TEST(model_pool, clear_beside_users)
{
    EXPECT_EXPLORED(explore<cleared>({.preemptions = bound(2, 3), .prune = false}));
}

}  // namespace
