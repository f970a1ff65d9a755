// weft::once (include/weft/once.hpp, src/sync/once.cpp): the function succeeds once, everybody returns after that and
// sees what it has done; after a failure another one tries, and nobody sleeps for ever.
//
// All of it is the shipped code, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>

#include "rt/rt.hpp"
#include "sync/once.cpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;

// What call() does around its function, for one that fails without an exception: unwinding is the OS thread's, which
// all model threads share. (Naming private members is allowed in an explicit instantiation.)
bool begin_call(weft::once& o);
void finish_call(weft::once& o, bool succeeded);
template <auto Begin, auto Finish>
struct opened {
    friend bool begin_call(weft::once& o) { return (o.*Begin)(); }
    friend void finish_call(weft::once& o, bool succeeded) { (o.*Finish)(succeeded); }
};
template struct opened<&weft::once::begin, &weft::once::finish>;

struct guarded : runtime {
    weft::once first;
    plain<int> data{0};
    ghost<int> attempts{0};
    ghost<int> inside{0};

    guarded()
    {
        ::new (&bucket()) rt::sema_bucket;  // an execution that was dropped has left its waiters there
        name(first, "once");
        name(data, "data");
    }
    rt::sema_bucket& bucket() const { return rt::sema_bucket::of(&first); }
    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const rt::sema_waiter* w = bucket().front(&first); w != nullptr; w = w->next)
            h = h * 8 + static_cast<std::uint64_t>(thread_of(w->who)) + 4;
        return h;
    }
    void attempt()
    {
        inside.set(inside.get() + 1);
        check(inside.get() == 1, "one at a time");
        data.set(data.get() + 1);
        attempts.set(attempts.get() + 1);
        inside.set(inside.get() - 1);
    }
    void end()
    {
        check(data.get() == attempts.get(), "all that was done is seen");
        check(bucket().front(&first) == nullptr, "somebody is queued");
    }
};

template <int Threads>
struct succeeds : guarded {
    static constexpr int threads = Threads;
    void run(int)
    {
        first.call([this] { attempt(); });
        check(data.get() == 1, "done, and once");
    }
};

TEST(model_once, everybody_returns_after_it)
{
    EXPECT_EXPLORED(explore<succeeds<2>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<succeeds<3>>({.preemptions = bound(4, 6)}));
    EXPECT_EXPLORED(explore<succeeds<4>>({.preemptions = bound(2, 3)}));
}

/// The first `Failures` attempts fail, whosever they are.
template <int Threads, int Failures>
struct fails : guarded {
    static constexpr int threads = Threads;
    ghost<int> failed{0};
    void run(int)
    {
        while (begin_call(first)) {
            attempt();
            const bool succeeds = failed.get() == Failures;
            if (!succeeds)
                failed.set(failed.get() + 1);
            finish_call(first, succeeds);
            if (!succeeds)
                return;  // as an exception would
        }
        check(data.get() == Failures + 1, "somebody has tried again");
    }
};

TEST(model_once, another_one_tries_after_a_failure)
{
    EXPECT_EXPLORED(explore<fails<2, 1>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<fails<3, 1>>({.preemptions = bound(3, 5)}));
    EXPECT_EXPLORED(explore<fails<3, 2>>({.preemptions = bound(3, 5)}));
    EXPECT_EXPLORED(explore<fails<4, 2>>({.preemptions = bound(1, 3)}));
}

TEST(model_once, all_fail)
{
    EXPECT_EXPLORED(explore<fails<2, 2>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<fails<3, 3>>({.preemptions = bound(3, 5)}));
}

}  // namespace
