// What docs/guide/coming-from-std-thread.md shows.
#include <cstdio>
#include <mutex>
#include <optional>
#include <queue>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace {

// [queue]
template <class T>
class work_queue {
public:
    void push(T item)
    {
        {
            const std::lock_guard hold(guard_);
            items_.push(std::move(item));
        }
        not_empty_.notify_one();
    }
    /// Nothing: a stop was requested.
    std::optional<T> pop(const std::stop_token& stop)
    {
        std::unique_lock hold(guard_);
        if (!not_empty_.wait(hold, stop, [this] { return !items_.empty(); }))
            return std::nullopt;
        T item = std::move(items_.front());
        items_.pop();
        return item;
    }

private:
    weft::mutex guard_;                   // was: std::mutex
    weft::condition_variable not_empty_;  // was: std::condition_variable_any
    std::queue<T> items_;
};
// [/queue]

void ported()
{
    // [ported]
    work_queue<int> queue;
    weft::latch all_seen(100);
    {
        std::vector<weft::jthread> workers;  // was: std::jthread
        for (int i = 0; i < 10; ++i)
            workers.emplace_back(
                [&](const std::stop_token& stop)
                {
                    while (queue.pop(stop))
                        all_seen.count_down();
                });
        for (int i = 0; i < 100; ++i)
            queue.push(i);
        all_seen.wait();
    }  // each jthread requests a stop and joins
    // [/ported]
    std::printf("ported: all seen\n");
}

void rewritten()
{
    // [rewritten]
    const weft::chan<int> queue(10);
    weft::wait_group workers;
    int seen[10] = {};
    for (int& mine : seen)
        workers.go(
            [queue, &mine]
            {
                for ([[maybe_unused]] const int item : queue)
                    ++mine;
            });
    for (int i = 0; i < 100; ++i)
        queue.send(i);
    queue.close();
    workers.wait();
    // [/rewritten]
    int sum = 0;
    for (const int n : seen)
        sum += n;
    std::printf("rewritten: %d seen\n", sum);
}

// [no_pool]
int handle(int request)
{
    return request * request;
}

std::vector<int> handle_all(int count)
{
    std::vector<weft::future<int>> answers;
    for (int request = 0; request < count; ++request)
        answers.push_back(weft::async(handle, request));  // a goroutine each: there is nothing to pool
    std::vector<int> results;
    for (weft::future<int>& answer : answers)
        results.push_back(answer.get());
    return results;
}
// [/no_pool]

void both()
{
    // [both]
    weft::mutex guard;
    int count = 0;
    const auto add = [&]
    {
        for (int i = 0; i < 1'000; ++i) {
            const std::lock_guard hold(guard);
            ++count;
        }
    };
    {
        const std::jthread thread(add);      // waits by blocking
        const weft::jthread goroutine(add);  // waits by parking
        const weft::jthread another(add);
    }
    // [/both]
    std::printf("both: %d\n", count);
}

}  // namespace

int main()
{
    ported();  // without weft::run: the first goroutine starts the runtime
    rewritten();
    std::printf("no pool: %d\n", handle_all(1'000).back());
    both();
}

// Output:
// ported: all seen
// rewritten: 100 seen
// no pool: 998001
// both: 3000
