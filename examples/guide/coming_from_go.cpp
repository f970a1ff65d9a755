// What docs/guide/coming-from-go.md shows.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

void receive()
{
    const weft::chan<int> c(1);
    c.send(3);
    c.close();
    // [comma_ok]
    const int must = c.recv().value();          // v := <-c, where a value is certain to come
    if (const std::optional<int> v = c.recv())  // if v, ok := <-c; ok
        std::printf("%d\n", *v);
    else
        std::printf("got %d, then closed\n", must);
    // [/comma_ok]
}

void loop()
{
    weft::mutex guard;
    int sum = 0;
    weft::wait_group all;
    // [loop]
    const std::vector<std::string> names = {"a", "bc", "def"};
    for (const std::string& name : names)
        all.go(
            [&, name]  // by value what changes or ends before the goroutine does, by reference what is there at wait()
            {
                const std::lock_guard hold(guard);  // defer mu.Unlock()
                sum += static_cast<int>(name.size());
            });
    all.wait();
    // [/loop]
    std::printf("%d letters\n", sum);
}

// [errors]
int parse(const std::string& text)
{
    if (text.empty())
        throw std::invalid_argument("empty");
    return std::stoi(text);
}

/// The sum of all, or the first error in the order of the texts.
int parse_all(const std::vector<std::string>& texts)
{
    std::vector<weft::future<int>> values;
    for (const std::string& text : texts)
        values.push_back(weft::async(parse, text));
    int sum = 0;
    for (weft::future<int>& value : values)
        sum += value.get();  // rethrows
    return sum;
}
// [/errors]

void errors()
{
    std::printf("%d\n", parse_all({"1", "2", "3"}));
    // [recover]
    try {
        parse_all({"1", ""});
    } catch (const std::exception& e) {
        std::printf("failed: %s\n", e.what());
    }
    // [/recover]
}

// [server]
struct deposit {
    int amount;
    weft::sender<int> balance;
};

void account(const weft::receiver<deposit>& deposits, const weft::receiver<bool>& quit)
{
    int balance = 0;
    bool open = true;
    while (open)
        weft::select(weft::on_recv(deposits,
                                   [&](const std::optional<deposit>& d)
                                   {
                                       balance += d->amount;
                                       d->balance.send(balance);
                                   }),
                     weft::on_recv(quit, [&] { open = false; }), weft::on_timeout(10s, [] { std::printf("idle\n"); }));
}
// [/server]

void server()
{
    const weft::chan<deposit> deposits;
    const weft::chan<bool> quit;
    const weft::chan<int> balance(1);
    weft::wait_group all;
    all.go([=] { account(deposits, quit); });
    int last = 0;
    for (const int amount : {10, 20}) {
        deposits.send({amount, balance});
        last = balance.recv().value();
    }
    quit.close();
    all.wait();
    std::printf("balance %d\n", last);
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            receive();
            loop();
            errors();
            server();
        });
}

// Output:
// got 3, then closed
// 6 letters
// 6
// failed: empty
// balance 30
