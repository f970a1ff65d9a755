// What docs/guide/sync.md shows.
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

void counter()
{
    // [counter]
    weft::mutex m;
    int sum = 0;
    weft::wait_group all;
    for (int i = 1; i <= 100; ++i) {
        all.go(
            [&, i]
            {
                const std::lock_guard guard(m);
                sum += i;
            });
    }
    all.wait();
    std::printf("sum %d\n", sum);
    // [/counter]
}

void give_up()
{
    // [give_up]
    weft::mutex m;
    const std::lock_guard holder(m);
    if (!m.try_lock_for(1ms))
        std::printf("not within a millisecond\n");
    const auto request = weft::with_timeout(weft::background(), 1ms);
    if (const std::error_code why = m.lock(request))
        std::printf("%s\n", why == weft::context_errc::deadline_exceeded ? "the request has ended" : "canceled");
    // [/give_up]
}

// [queue]
/// A queue of at most four.
class bounded_queue {
public:
    void push(int v)
    {
        std::unique_lock lock(m_);
        not_full_.wait(lock, [this] { return items_.size() < 4; });
        items_.push_back(v);
        not_empty_.notify_one();
    }
    int pop()
    {
        std::unique_lock lock(m_);
        not_empty_.wait(lock, [this] { return !items_.empty(); });
        const int v = items_.front();
        items_.pop_front();
        not_full_.notify_one();
        return v;
    }

private:
    weft::mutex m_;
    weft::condition_variable not_full_;
    weft::condition_variable not_empty_;
    std::deque<int> items_;
};
// [/queue]

void use_queue()
{
    bounded_queue q;
    weft::go(
        [&]
        {
            for (int i = 1; i <= 10; ++i)
                q.push(i);
        });
    int sum = 0;
    for (int i = 1; i <= 10; ++i)
        sum += q.pop();
    std::printf("through the queue: %d\n", sum);
}

void settings()
{
    // [shared]
    weft::shared_mutex m;
    std::string setting = "old";
    {
        const std::shared_lock reader(m);  // beside other readers
        std::printf("%s ", setting.c_str());
    }
    {
        const std::unique_lock writer(m);  // alone
        setting = "new";
    }
    // [/shared]
    std::printf("%s\n", setting.c_str());
}

void limit()
{
    // [limit]
    weft::counting_semaphore<> slots(3);  // at most three at a time
    weft::wait_group all;
    for (int i = 0; i < 10; ++i) {
        all.go(
            [&]
            {
                slots.acquire();
                weft::sleep_for(1ms);
                slots.release();
            });
    }
    all.wait();
    // [/limit]
    std::printf("all ten are through\n");
}

void phases()
{
    // [phases]
    weft::latch ready(2);
    for (int i = 0; i < 2; ++i)
        weft::go([&ready] { ready.count_down(); });
    ready.wait();

    weft::once once;
    for (int i = 0; i < 3; ++i)
        once.call([] { std::printf("set up once\n"); });
    // [/phases]
}

void buffers()
{
    // [pool]
    weft::pool<std::string> buffers;
    std::unique_ptr<std::string> buffer = buffers.get();
    buffer->assign("used");
    buffers.put(std::move(buffer));
    std::printf("%s again\n", buffers.get()->c_str());
    // [/pool]
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            counter();
            give_up();
            use_queue();
            settings();
            limit();
            phases();
            buffers();
        });
}

// Output:
// sum 5050
// not within a millisecond
// the request has ended
// through the queue: 55
// old new
// all ten are through
// set up once
// used again
