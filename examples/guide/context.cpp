// What docs/guide/context.md shows.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <vector>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

void first()
{
    // [first]
    const weft::cancel_context ctx = weft::with_timeout(weft::background(), 5ms);
    const std::error_code why = weft::sleep_for(1h, ctx);
    std::printf("%s\n", why.message().c_str());
    // [/first]
}

// [worker]
// Sums numbers up until the channel is closed or nobody wants to know any more.
std::error_code sum(const weft::receiver<int>& numbers, int& total, const weft::context& ctx)
{
    for (;;) {
        bool open = true;
        weft::select(weft::on_recv(numbers,
                                   [&](std::optional<int> n)
                                   {
                                       open = n.has_value();
                                       total += n.value_or(0);
                                   }),
                     weft::on_done(ctx));
        if (ctx.err())
            return ctx.err();
        if (!open)
            return {};
    }
}
// [/worker]

void worker()
{
    // [cancel]
    const weft::chan<int> numbers;
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    auto result = weft::async(
        [numbers, c = weft::context(ctx)]
        {
            int total = 0;
            return sum(numbers, total, c);
        });
    numbers.send(1);
    ctx.cancel();
    if (result.get() == weft::context_errc::canceled)
        std::printf("gave up\n");
    // [/cancel]
}

void tree()
{
    // [tree]
    weft::cancel_context request = weft::with_cancel(weft::background());
    const weft::cancel_context query = weft::with_timeout(request, 1h);
    request.cancel(std::make_exception_ptr(std::runtime_error("the client has gone")));
    try {
        std::rethrow_exception(query.cause());
    } catch (const std::runtime_error& e) {
        std::printf("%s: %s\n", query.err().message().c_str(), e.what());
    }
    // [/tree]
}

// [value]
struct user_name {
    using type = std::string;  // what value<user_name>() is
};

void greet(const weft::context& ctx)
{
    const std::string* const name = ctx.value<user_name>();
    std::printf("hello %s\n", name == nullptr ? "stranger" : name->c_str());
}
// [/value]

void values()
{
    // [with_value]
    greet(weft::background());
    greet(weft::with_value<user_name>(weft::background(), "Ada"));
    // [/with_value]
}

void tokens()
{
    // [token]
    std::stop_source source;
    const weft::context ctx = source.get_token();                                    // ends when a stop is requested
    const std::stop_callback told(ctx.stop_token(), [] { std::printf("told\n"); });  // and the other way round
    source.request_stop();
    std::printf("%s\n", weft::sleep_for(1h, ctx).message().c_str());
    // [/token]
}

void groups()
{
    // [group]
    const std::vector<std::string> names{"web", "images", "broken", "video"};
    try {
        weft::group g;
        g.limit(2);  // at most two at the same time
        for (const std::string& name : names) {
            g.go(
                [&]
                {
                    if (name == "broken")
                        throw std::runtime_error("no answer from " + name);
                    (void)weft::sleep_for(1ms, g.context());  // ends early when one fails
                });
        }
        g.wait();
    } catch (const std::runtime_error& e) {
        std::printf("%s\n", e.what());
    }
    // [/group]
}

void timers()
{
    // [timers]
    const weft::chan<int> work;
    const weft::ticker tick(1ms);
    const weft::timer limit(1min);
    int ticks = 0;
    while (ticks < 3) {
        const std::size_t chosen = weft::select(weft::on_recv(work), weft::on_recv(tick.channel(), [&] { ++ticks; }),
                                                weft::on_recv(limit.channel()));
        if (chosen == 2)
            break;
    }
    std::printf("%d ticks\n", ticks);
    // [/timers]
}

// [local]
weft::local<std::string> trace([] { return std::string("-"); });
// [/local]

void locals()
{
    // [local_use]
    *trace = "main";
    weft::async([] { std::printf("%s\n", trace->c_str()); }).get();
    std::printf("%s\n", trace->c_str());
    // [/local_use]
}

// [stop]
weft::io::event* stop_asked = nullptr;

void on_stop(int)
{
    std::error_code ignored;
    stop_asked->set(1, ignored);  // the one thing of weft's that a handler may do
}
// [/stop]

void stop()
{
    // [stop_use]
    weft::io::event asked;
    stop_asked = &asked;
    std::signal(SIGINT, on_stop);
    std::signal(SIGTERM, on_stop);

    weft::group server;
    server.go(
        [&]
        {
            asked.wait();
            throw std::runtime_error("asked to stop");  // cancels server.context()
        });
    server.go([&] { (void)weft::sleep_for(1h, server.context()); });  // serves until then
    std::raise(SIGTERM);                                              // as `kill` does
    try {
        server.wait();
    } catch (const std::runtime_error& e) {
        std::printf("%s\n", e.what());
    }
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    // [/stop_use]
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            first();
            worker();
            tree();
            values();
            tokens();
            groups();
            timers();
            locals();
            stop();
        });
}

// Output:
// context deadline exceeded
// gave up
// context canceled: the client has gone
// hello stranger
// hello Ada
// told
// context canceled
// no answer from broken
// 3 ticks
// -
// main
// asked to stop
