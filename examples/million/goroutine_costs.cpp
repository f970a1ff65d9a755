// What a goroutine's switch and start cost.
#include "runs.hpp"
#include "stopwatch.hpp"
#include "weft/weft.hpp"

namespace million {

namespace {

/// `a` and `b` run at the same time, to their ends.
template <class A, class B>
void run_both(A&& a, B&& b)
{
    weft::wait_group both;
    both.go(a);
    both.go(b);
    both.wait();
}

double yield_cost()
{
    constexpr int turns = 1'000'000;
    const auto yield_often = []
    {
        for (int i = 0; i < turns; ++i)
            weft::yield();
    };
    return seconds_each(2 * turns, [&] { run_both(yield_often, yield_often); });
}

double handover_cost()
{
    constexpr int turns = 300'000;
    // Whose group is at zero has the turn.
    const auto play = [](weft::wait_group& mine, weft::wait_group& other)
    {
        for (int i = 0; i < turns; ++i) {
            mine.wait();
            mine.add();
            other.done();
        }
    };
    return seconds_each(2 * turns,
                        [&]
                        {
                            weft::wait_group first;
                            weft::wait_group second;
                            second.add();
                            run_both([&] { play(first, second); }, [&] { play(second, first); });
                            second.done();
                        });
}

double spawn_cost(int batch, int batches)
{
    return seconds_each(batch * batches,
                        [=]
                        {
                            weft::wait_group all;
                            for (int b = 0; b < batches; ++b) {
                                for (int i = 0; i < batch; ++i)
                                    all.go([] {});
                                all.wait();
                            }
                        });
}

}  // namespace

run_result goroutine_costs(const run_request& request)
{
    run_result r;
    weft::run(weft::options{.procs = request.procs},
              [&]
              {
                  r.costs.spawn_one = spawn_cost(1, 200'000);
                  r.costs.spawn_batch = spawn_cost(1'000, 500);
                  weft::max_procs(1);
                  r.costs.yield = yield_cost();
                  r.costs.handover = handover_cost();
              });
    return r;
}

}  // namespace million
