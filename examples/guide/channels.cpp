// What docs/guide/channels.md shows.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

void first()
{
    // [first]
    const weft::chan<std::string> words;
    weft::go([words] { words.send("handed over"); });
    const std::optional<std::string> word = words.recv();
    std::printf("%s\n", word->c_str());
    // [/first]
}

void buffered()
{
    // [buffered]
    const weft::chan<int> queue(2);
    queue.send(1);
    queue.send(2);  // the buffer has room: neither send waits
    std::printf("%zu of %zu\n", queue.size(), queue.capacity());
    // [/buffered]
}

void closing()
{
    // [closing]
    const weft::chan<int> numbers(3);
    for (int i = 1; i <= 3; ++i)
        numbers.send(i);
    numbers.close();
    for (const int n : numbers)  // receives until the channel is closed and drained
        std::printf("%d ", n);
    std::printf("%s\n", numbers.recv().has_value() ? "more" : "closed");
    try {
        numbers.send(4);
    } catch (const weft::closed_channel& e) {
        std::printf("%s\n", e.what());
    }
    // [/closing]
}

// [views]
/// Whoever gets this may receive and do nothing else.
weft::receiver<int> squares_up_to(int last)
{
    const weft::chan<int> out;
    weft::go(
        [to = weft::sender<int>(out), last]
        {
            for (int i = 1; i <= last; ++i)
                to.send(i * i);
            to.close();
        });
    return out;
}
// [/views]

void views()
{
    int sum = 0;
    // [use_views]
    for (const int square : squares_up_to(10))
        sum += square;
    // [/use_views]
    std::printf("%d\n", sum);
}

void attempts()
{
    const weft::chan<int> requests(1);
    // [attempts]
    auto request = 7;
    if (requests.try_send(request) == weft::chan_status::full)
        std::printf("busy, try again later\n");

    int taken = 0;
    switch (requests.recv_for(taken, 1s)) {
        case weft::chan_status::success:
            std::printf("took %d\n", taken);
            break;
        case weft::chan_status::timeout:
            std::printf("nothing for a second\n");
            break;
        default:
            std::printf("closed\n");
            break;
    }
    // [/attempts]
}

void move_only()
{
    // [move_only]
    const weft::chan<std::unique_ptr<std::string>> jobs(1);
    auto job = std::make_unique<std::string>("moved, not copied");
    if (jobs.try_send(job) != weft::chan_status::success)
        std::printf("still mine: %s\n", job->c_str());  // moved from only on success
    std::printf("%s\n", jobs.recv().value()->c_str());
    // [/move_only]
}

void many_senders()
{
    // [many_senders]
    const weft::chan<int> results;
    weft::wait_group senders;
    for (int i = 1; i <= 3; ++i)
        senders.go([results, i] { results.send(i * 100); });
    weft::go(
        [&senders, results]
        {
            senders.wait();
            results.close();
        });
    int sum = 0;
    for (const int r : results)
        sum += r;
    // [/many_senders]
    std::printf("%d\n", sum);
}

// [at_most]
void at_most_four(int times, const std::function<void()>& work)
{
    weft::wait_group all;
    struct nothing {};
    const weft::chan<nothing> places(4);
    for (int i = 0; i < times; ++i) {
        places.send({});  // waits while four are at work
        all.go(
            [places, &work]
            {
                work();
                static_cast<void>(places.recv());
            });
    }
    all.wait();
}
// [/at_most]

void at_most()
{
    int running = 0;
    int most = 0;
    weft::mutex guard;
    const auto work = [&]
    {
        {
            const std::lock_guard hold(guard);
            most = std::max(most, ++running);
        }
        weft::yield();
        const std::lock_guard hold(guard);
        --running;
    };
    at_most_four(20, work);
    std::printf("%s\n", most <= 4 ? "never more than four" : "TOO MANY");
}

// [reply]
struct question {
    int number;
    weft::sender<int> answer;
};

int ask(const weft::sender<question>& oracle, int number)
{
    const weft::chan<int> answer(1);  // with room, so that the oracle never waits for us
    oracle.send({number, answer});
    return answer.recv().value();
}
// [/reply]

void reply()
{
    const weft::chan<question> oracle;
    weft::go(
        [oracle]
        {
            for (const question& q : oracle)
                q.answer.send(q.number * 2);
        });
    std::printf("%d\n", ask(oracle, 21));
    oracle.close();
}

void threads()
{
    // [threads]
    const weft::chan<int> numbers(8);
    std::thread producer(
        [numbers]
        {
            for (int i = 0; i < 1'000; ++i)
                numbers.send(i);  // blocks the thread while the buffer is full
            numbers.close();
        });
    int sum = 0;
    for (const int n : numbers)
        sum += n;
    producer.join();
    // [/threads]
    std::printf("%d\n", sum);
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            first();
            buffered();
            closing();
            views();
            attempts();
            move_only();
            many_senders();
            at_most();
            reply();
            threads();
        });
}

// Output:
// handed over
// 2 of 2
// 1 2 3 closed
// weft::chan::send: the channel is closed
// 385
// took 7
// moved, not copied
// 600
// never more than four
// 42
// 499500
