// What docs/memory-model.md shows.
#include <array>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>

#include "weft/weft.hpp"

namespace {

void start_and_end()
{
    // [start_and_end]
    std::string text = "before";
    weft::wait_group all;
    all.go([&] { text += ", in the goroutine"; });  // sees "before": go() happens before the goroutine's first line
    all.wait();                                     // its last line happens before the return of wait()
    text += ", after";
    // [/start_and_end]
    std::printf("%s\n", text.c_str());
}

void message()
{
    // [message]
    struct nothing {};
    std::string text;  // shared, without a lock
    const weft::chan<nothing> ready;
    weft::go(
        [&text, ready]
        {
            text = "written before the send";
            ready.send({});
        });
    static_cast<void>(ready.recv());
    std::printf("%s\n", text.c_str());  // the receive has put the write before this line
    // [/message]
}

void closing()
{
    // [closing]
    std::array<int, 3> table{};
    const weft::chan<bool> filled;
    weft::wait_group readers;
    std::atomic<int> sum{0};
    for (int i = 0; i < 2; ++i)
        readers.go(
            [&, filled]
            {
                static_cast<void>(filled.recv());  // any number may wait for one close
                sum += table[0] + table[1] + table[2];
            });
    table = {1, 2, 3};
    filled.close();
    readers.wait();
    // [/closing]
    std::printf("%d\n", sum.load());
}

void ring()
{
    int out = 0;
    // [ring]
    // Two places, each handed back and forth: whoever has received its number may touch it.
    std::array<std::string, 2> place;
    const weft::chan<std::size_t> full;
    const weft::chan<std::size_t> free(2);
    free.send(0);
    free.send(1);
    weft::go(
        [&, full, free]
        {
            for (int i = 0; i < 10; ++i) {
                const std::size_t p = free.recv().value();
                place[p] = std::to_string(i);
                full.send(p);
            }
            full.close();
        });
    for (const std::size_t p : full) {
        out += std::stoi(place[p]);
        free.send(p);  // from here on the place is the other one's
    }
    // [/ring]
    std::printf("%d\n", out);
}

// [lazy]
/// Made by the first caller; later ones and those who come meanwhile see it whole.
const std::string& greeting()
{
    static weft::once made;
    static std::string text;
    made.call([] { text = "made once"; });
    return text;
}
// [/lazy]

void lock()
{
    // [lock]
    weft::mutex guard;
    int first = 0;
    int second = 0;
    weft::wait_group all;
    for (int i = 0; i < 4; ++i)
        all.go(
            [&]
            {
                for (int k = 0; k < 100; ++k) {
                    const std::lock_guard hold(guard);
                    ++first;
                    ++second;  // nobody who holds the mutex ever sees the two differ
                }
            });
    all.wait();
    // [/lock]
    std::printf("%d %d\n", first, second);
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            start_and_end();
            message();
            closing();
            ring();
            weft::future<std::size_t> length = weft::async([] { return greeting().size(); });
            const std::size_t same = greeting().size() == length.get() ? 1 : 0;
            std::printf("%s %zu\n", greeting().c_str(), same);
            lock();
        });
}

// Output:
// before, in the goroutine, after
// written before the send
// 12
// 45
// made once 1
// 400 400
