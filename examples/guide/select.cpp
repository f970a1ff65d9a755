// What docs/guide/select.md shows.
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

void first()
{
    const weft::chan<int> numbers;
    const weft::chan<std::string> words(1);
    words.send("hello");
    // [first]
    const std::size_t chosen = weft::select(
        weft::on_recv(numbers, [](std::optional<int> n) { std::printf("number %d\n", n.value()); }),
        weft::on_recv(words, [](const std::optional<std::string>& w) { std::printf("word %s\n", w->c_str()); }));
    // [/first]
    std::printf("case %zu\n", chosen);
}

void sending()
{
    const weft::chan<int> fast(1);
    const weft::chan<int> slow;
    const int job = 1;
    // [sending]
    weft::select(weft::on_send(fast, job, [] { std::printf("fast has it\n"); }),
                 weft::on_send(slow, job, [] { std::printf("slow has it\n"); }));
    // [/sending]
}

void timeout()
{
    const weft::chan<int> answers;
    // [timeout]
    weft::select(weft::on_recv(answers, [](std::optional<int> a) { std::printf("%d\n", a.value()); }),
                 weft::on_timeout(20ms, [] { std::printf("no answer within 20 ms\n"); }));
    // [/timeout]
}

void deadline()
{
    const weft::chan<int> measurements;
    // [deadline]
    const auto deadline = weft::clock::now() + 20ms;
    int count = 0;
    bool in_time = true;
    while (in_time)
        weft::select(weft::on_recv(measurements, [&] { ++count; }),
                     weft::on_deadline(deadline, [&] { in_time = false; }));  // one deadline for all rounds
    // [/deadline]
    std::printf("%d measurements\n", count);
}

void no_wait()
{
    const weft::chan<int> orders;
    // [otherwise]
    weft::select(weft::on_recv(orders, [](std::optional<int> o) { std::printf("order %d\n", o.value()); }),
                 weft::otherwise([] { std::printf("no order yet\n"); }));
    // [/otherwise]
}

// [stop]
/// Sends 1, 2, 3 ... until `stop` is closed.
void count(const weft::sender<int>& out, const weft::receiver<bool>& stop)
{
    for (int n = 1;; ++n)
        if (weft::select(weft::on_send(out, n), weft::on_recv(stop)) == 1)
            return;
}
// [/stop]

void stop()
{
    const weft::chan<int> numbers;
    const weft::chan<bool> stop;
    weft::wait_group all;
    all.go([=] { count(numbers, stop); });
    all.go([=] { count(numbers, stop); });
    int sum = 0;
    for (int i = 0; i < 100; ++i)
        sum += numbers.recv().value() > 0 ? 1 : 0;
    stop.close();
    all.wait();
    std::printf("%d numbers, then both stopped\n", sum);
}

// [merge]
/// Sends what comes from both to `out`, until both are closed.
void merge(weft::receiver<int> a, weft::receiver<int> b, const weft::sender<int>& out)
{
    const auto forward = [&out](weft::receiver<int>& from, std::optional<int> v)
    {
        if (v)
            out.send(*v);
        else
            from = nullptr;  // closed, so always ready; nil is never ready
    };
    while (a || b)
        weft::select(weft::on_recv(a, [&](std::optional<int> v) { forward(a, v); }),
                     weft::on_recv(b, [&](std::optional<int> v) { forward(b, v); }));
    out.close();
}
// [/merge]

void merging()
{
    const weft::chan<int> a(2);
    const weft::chan<int> b(2);
    for (const int v : {1, 2}) {
        a.send(v);
        b.send(10 * v);
    }
    a.close();
    b.close();
    const weft::chan<int> out;
    weft::go(merge, a, b, out);
    int sum = 0;
    for (const int v : out)
        sum += v;
    std::printf("merged: %d\n", sum);
}

// [urgent]
/// The next value, urgent ones first where both are ready.
std::optional<int> next(const weft::receiver<int>& urgent, const weft::receiver<int>& normal)
{
    std::optional<int> value;
    const auto take = [&value](std::optional<int> v) { value = v; };
    if (weft::select(weft::on_recv(urgent, take), weft::otherwise()) == 1)
        weft::select(weft::on_recv(urgent, take), weft::on_recv(normal, take));
    return value;
}
// [/urgent]

void urgent()
{
    const weft::chan<int> normal(1);
    const weft::chan<int> urgent(1);
    normal.send(2);
    urgent.send(1);
    std::printf("first %d, ", next(urgent, normal).value());
    std::printf("then %d\n", next(urgent, normal).value());
}

void run_time_list()
{
    std::vector<weft::chan<int>> sources;
    for (int i = 0; i < 20; ++i)
        sources.emplace_back(1);
    sources[13].send(13);
    // [selector]
    weft::selector any;
    for (const weft::chan<int>& source : sources)
        any.on_recv(source, [](std::optional<int> v) { std::printf("from source %d\n", v.value()); });
    any.on_timeout(1s, [] { std::printf("nobody\n"); });
    any.wait();  // may be called again and again; the timeout counts anew each time
    // [/selector]
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            first();
            sending();
            timeout();
            deadline();
            no_wait();
            stop();
            merging();
            urgent();
            run_time_list();
        });
}

// Output:
// word hello
// case 1
// fast has it
// no answer within 20 ms
// 0 measurements
// no order yet
// 100 numbers, then both stopped
// merged: 33
// first 1, then 2
// from source 13
