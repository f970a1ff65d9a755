// Exceptions and exits: thrown, caught, rethrown, nested, in flight over parks and migrations, next to goroutines that
// end in the middle of all that.
#include <atomic>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>

#include "../support/storm.hpp"

namespace {

using weft::test::counted;
using weft::test::rng;

struct world {
    weft::test::storm& storm;
    weft::test::ledger ledger{};
    weft::wait_group alive{};
};

struct marked : counted {
    std::uint64_t mark;
    explicit marked(std::uint64_t m) : mark(m) {}
};
struct other : std::runtime_error, counted {
    using std::runtime_error::runtime_error;
};

// A goroutine announced by its starter, redeemed by its end.
struct life {
    world* w;
    std::uint64_t token;
    life(world& in, std::uint64_t t) : w(&in), token(t)
    {
        in.alive.add();
        in.ledger.announce(t);
    }
    life(life&& from) noexcept : w(std::exchange(from.w, nullptr)), token(from.token) {}
    life(const life&) = delete;
    life& operator=(const life&) = delete;
    ~life()
    {
        if (w != nullptr) {
            w->storm.progress();
            w->ledger.redeem(token);
            w->alive.done();
        }
    }
};

void rest(rng& r)
{
    if (r.one_in(2))
        weft::yield();
    if (r.one_in(64))
        weft::sleep_for(std::chrono::microseconds(r.below(40)));
}

[[gnu::noinline]] std::uint64_t mark_of_current(world& w)
{
    try {
        const std::exception_ptr e = std::current_exception();
        w.storm.check(e != nullptr, "a handler without a current exception");
        std::rethrow_exception(e);
    } catch (const marked& m) {
        return m.mark;
    } catch (...) {
        return ~std::uint64_t{0};
    }
}

// Checks the number of exceptions in flight around parks, in a destructor.
struct watches {
    world& w;
    rng r;
    int in_flight;
    ~watches()
    {
        w.storm.check(std::uncaught_exceptions() == in_flight, "wrong number of exceptions in flight");
        rest(r);
        try {
            if (r.one_in(2)) {
                rest(r);
                throw other("inside a destructor");
            }
        } catch (const other&) {
            rest(r);
        }
        w.storm.check(std::uncaught_exceptions() == in_flight, "wrong number of exceptions in flight after a park");
    }
};

[[gnu::noinline]] void throw_from(world& w, rng& r, unsigned depth, std::uint64_t mark)
{
    const watches here{w, r.split(), 1};
    rest(r);
    if (depth == 0)
        throw marked(mark);
    throw_from(w, r, depth - 1, mark);
}

void catch_at_the_top(world& w, rng& r)
{
    const std::uint64_t mark = r.next() >> 1;
    try {
        throw_from(w, r, static_cast<unsigned>(r.below(8)), mark);
    } catch (const marked& m) {
        rest(r);
        w.storm.check(m.mark == mark && mark_of_current(w) == mark, "another exception was caught");
    }
    w.storm.check(std::uncaught_exceptions() == 0 && std::current_exception() == nullptr, "an exception was left over");
}

void nest_handlers(world& w, rng& r, unsigned depth)
{
    const std::uint64_t mark = r.next() >> 1;
    try {
        throw marked(mark);
    } catch (const marked&) {
        rest(r);
        if (depth > 0)
            nest_handlers(w, r, depth - 1);
        rest(r);
        w.storm.check(mark_of_current(w) == mark, "a nested handler has changed the outer exception");
    }
}

void rethrow_upwards(world& w, rng& r, unsigned depth, std::uint64_t mark)
{
    try {
        if (depth == 0)
            throw marked(mark);
        rethrow_upwards(w, r, depth - 1, mark);
    } catch (...) {
        rest(r);
        throw;
    }
}

void carry_in_a_pointer(world& w, rng& r)
{
    const std::uint64_t mark = r.next() >> 1;
    std::exception_ptr carried;
    try {
        throw marked(mark);
    } catch (...) {
        carried = std::current_exception();
    }
    rest(r);
    auto f = weft::async(
        [&w, carried, seed = r.split()]() mutable
        {
            rest(seed);
            try {
                std::rethrow_exception(carried);
            } catch (...) {
                rest(seed);
                return mark_of_current(w);
            }
        });
    try {
        std::rethrow_exception(carried);
    } catch (const marked& m) {
        rest(r);
        w.storm.check(m.mark == mark, "a carried exception has changed");
    }
    w.storm.check(f.get() == mark, "a shared exception has changed");
}

[[noreturn]] void exit_from(world& w, rng& r, unsigned depth)
{
    const counted here;
    rest(r);
    if (depth > 0) {
        try {
            exit_from(w, r, depth - 1);
        } catch (const std::exception&) {
            w.storm.check(false, "an exit was caught as an exception");
        } catch (...) {
            rest(r);
            throw;
        }
    }
    if (r.one_in(2))
        weft::exit_goroutine();
    try {
        throw marked(depth);
    } catch (const marked&) {
        rest(r);
        weft::exit_goroutine();
    }
}

void act(world& w, rng r)
{
    for (int i = 0; i < 20; ++i) {
        w.storm.progress();
        switch (r.below(8)) {
            case 0:
            case 1:
                catch_at_the_top(w, r);
                break;
            case 2:
                nest_handlers(w, r, static_cast<unsigned>(r.below(5)));
                break;
            case 3: {
                const std::uint64_t mark = r.next() >> 1;
                try {
                    rethrow_upwards(w, r, static_cast<unsigned>(r.below(8)), mark);
                } catch (const marked& m) {
                    w.storm.check(m.mark == mark, "a rethrown exception has changed");
                }
                break;
            }
            case 4:
                carry_in_a_pointer(w, r);
                break;
            case 5:
                if (r.one_in(16))
                    weft::max_procs(1 + static_cast<int>(r.below(8)));
                break;
            case 6: {
                const weft::pin p;
                catch_at_the_top(w, r);
                break;
            }
            default:
                weft::yield();
        }
    }
    if (r.one_in(2))
        exit_from(w, r, static_cast<unsigned>(r.below(6)));
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("exception_storm", argc, argv);
    return storm.run(
        [&](rng r, std::uint64_t)
        {
            world w{storm};
            weft::max_procs(1 + static_cast<int>(r.below(8)));
            const std::uint64_t count = 1 + r.below(weft::test::scaled_live(1'000));
            for (std::uint64_t i = 0; i < count; ++i)
                weft::go([&w, l = life(w, r.next()), seed = r.split()] { act(w, seed); });
            w.alive.wait();
            storm.check(w.ledger.balanced(), "a goroutine was lost or ended twice");
            storm.check(weft::test::eventually([] { return counted::alive == 0; }), "an object was not destroyed");
        });
}
