// What a thread's switch and start cost.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "default_stack.hpp"
#include "runs.hpp"
#include "stopwatch.hpp"

namespace million {

namespace {

/// One thread's turn, by a bare futex: the cheapest way for threads to block and to wake each other.
class turn {
public:
    explicit turn(bool given) : given_(given ? 1 : 0) {}

    void take()
    {
        while (given_.exchange(0, std::memory_order_acquire) == 0)
            futex(FUTEX_WAIT_PRIVATE, 0);
    }
    void give()
    {
        given_.store(1, std::memory_order_release);
        futex(FUTEX_WAKE_PRIVATE, 1);
    }

private:
    void futex(int operation, std::uint32_t value)
    {
        syscall(SYS_futex, &given_, operation, value, nullptr, nullptr, 0);
    }

    std::atomic<std::uint32_t> given_;
    static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));  // the kernel looks at the word itself
};

/// The calling thread, and those that it starts, run on one CPU for the scope.
class one_cpu {
public:
    one_cpu()
    {
        if (sched_getaffinity(0, sizeof before_, &before_) != 0)
            throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
        std::size_t first = 0;
        while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &before_))
            ++first;
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(first, &only);
        if (sched_setaffinity(0, sizeof only, &only) != 0)
            throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
    }
    ~one_cpu() { sched_setaffinity(0, sizeof before_, &before_); }
    one_cpu(const one_cpu&) = delete;
    one_cpu& operator=(const one_cpu&) = delete;

private:
    cpu_set_t before_{};
};

template <class A, class B>
void run_both(A&& a, B&& b)
{
    std::thread first(a);
    std::thread second(b);
    first.join();
    second.join();
}

double yield_cost()
{
    constexpr int turns = 20'000;
    const auto yield_often = []
    {
        for (int i = 0; i < turns; ++i)
            sched_yield();
    };
    return seconds_each(2 * turns, [&] { run_both(yield_often, yield_often); });
}

double handover_cost()
{
    constexpr int turns = 20'000;
    const auto play = [](turn& mine, turn& other)
    {
        for (int i = 0; i < turns; ++i) {
            mine.take();
            other.give();
        }
    };
    return seconds_each(2 * turns,
                        [&]
                        {
                            turn first(true);
                            turn second(false);
                            run_both([&] { play(first, second); }, [&] { play(second, first); });
                        });
}

/// 0 where the system does not allow so many threads at once.
double spawn_cost(int batch, int batches)
{
    try {
        return seconds_each(batch * batches,
                            [=]
                            {
                                for (int b = 0; b < batches; ++b) {
                                    std::vector<std::jthread> all;
                                    for (int i = 0; i < batch; ++i)
                                        all.emplace_back([] {});
                                }
                            });
    } catch (const std::system_error&) {
        return 0;
    }
}

}  // namespace

run_result thread_costs(const run_request& request)
{
    run_result r;
    use_thread_stack(request.stack);
    r.costs.spawn_one = spawn_cost(1, 2'000);
    r.costs.spawn_batch = spawn_cost(1'000, 2);
    const one_cpu pinned;
    r.costs.yield = yield_cost();
    r.costs.handover = handover_cost();
    return r;
}

}  // namespace million
