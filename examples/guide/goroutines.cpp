// What docs/guide/goroutines.md shows.
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

// [slot_each]
std::vector<int> squares(int count)
{
    std::vector<int> results(static_cast<std::size_t>(count));
    weft::wait_group all;
    for (int i = 0; i < count; ++i)
        all.go([i, &slot = results[static_cast<std::size_t>(i)]] { slot = i * i; });
    all.wait();  // every done() happens before wait() returns, so the slots may be read
    return results;
}
// [/slot_each]

void start()
{
    // [start]
    weft::wait_group all;
    const auto message = std::make_shared<std::string>("shared by both");
    for (int i = 1; i <= 2; ++i)
        all.go([i, message] { std::printf("goroutine %d: %s\n", i, message->c_str()); });
    all.wait();
    // [/start]
}

void arguments()
{
    weft::wait_group done;
    done.add();
    // [arguments]
    auto text = std::make_unique<std::string>("moved in");
    weft::go(
        [](const std::unique_ptr<std::string>& s, weft::wait_group* finished)
        {
            std::printf("%s\n", s->c_str());
            finished->done();
        },
        std::move(text), &done);
    // [/arguments]
    done.wait();
}

void results()
{
    // [results]
    weft::future<int> sum = weft::async([] { return 2 + 3; });
    weft::future<int> fails = weft::async([]() -> int { throw std::runtime_error("no result"); });
    std::printf("%d\n", sum.get());
    try {
        fails.get();
    } catch (const std::runtime_error& e) {
        std::printf("caught: %s\n", e.what());
    }
    // [/results]
}

void attributes()
{
    // [attributes]
    const weft::attr deep{.name = "parser", .stack_size = std::size_t{8} << 20};
    weft::async(deep, [] { std::printf("a goroutine with 8 MiB of stack\n"); }).get();
    // [/attributes]
}

void from_a_thread()
{
    // [thread]
    weft::chan<int> answers;
    std::thread outside([answers] { answers.send(42); });  // blocks that thread, not the goroutines
    std::printf("from a thread: %d\n", answers.recv().value());
    outside.join();
    // [/thread]
}

}  // namespace

// [main]
int everything();  // what the program does

int main()
{
    return weft::run([] { return everything(); });  // the exit status of the process
}
// [/main]

int everything()
{
    start();
    arguments();
    results();
    attributes();
    from_a_thread();
    return squares(4) == std::vector{0, 1, 4, 9} ? 0 : 1;
}

// Unordered output:
// goroutine 1: shared by both
// goroutine 2: shared by both
// moved in
// 5
// caught: no result
// a goroutine with 8 MiB of stack
// from a thread: 42
