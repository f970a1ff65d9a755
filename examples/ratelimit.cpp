// A rate limiter: requests may come in bursts, and in the long run no more than one in an interval passes. A token
// bucket, which is a buffered channel: a goroutine puts a token in at each interval, unless it is full; a request takes
// one out and waits while it is empty.
#include <chrono>
#include <cstdio>
#include <optional>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

class rate_limiter {
public:
    rate_limiter(std::chrono::nanoseconds interval, int burst) : tokens_(burst)
    {
        for (int i = 0; i < burst; ++i)
            tokens_.send({});
        weft::go([interval, tokens = tokens_, stop = stop_] { refill(interval, tokens, stop); });
    }
    ~rate_limiter() { stop_.close(); }
    rate_limiter(const rate_limiter&) = delete;
    rate_limiter& operator=(const rate_limiter&) = delete;

    /// Parks until the caller may go on. Callers are served in the order in which they come.
    void wait() const { static_cast<void>(tokens_.recv()); }
    /// Whether the caller may go on now.
    [[nodiscard]] bool try_wait() const
    {
        token taken;
        return tokens_.try_recv(taken) == weft::chan_status::success;
    }

private:
    struct token {};

    static void refill(std::chrono::nanoseconds interval, const weft::sender<token>& tokens,
                       const weft::receiver<token>& stop)
    {
        bool stopped = false;
        for (auto next = weft::clock::now() + interval; !stopped; next += interval)
            weft::select(weft::on_recv(stop, [&] { stopped = true; }),
                         weft::on_deadline(next, [&] { static_cast<void>(tokens.try_send(token{})); }));
    }

    weft::chan<token> tokens_;
    weft::chan<token> stop_;
};

constexpr auto interval = 10ms;
constexpr int burst = 3;
constexpr int requests = 10;

}  // namespace

int main()
{
    return weft::run(
        []
        {
            const auto began = weft::clock::now();
            const rate_limiter limit(interval, burst);
            for (int i = 1; i <= requests; ++i) {
                const bool waits = i > burst;  // the first ones find the bucket full
                if (waits)
                    limit.wait();
                else if (!limit.try_wait())
                    return 1;
                std::printf("request %d%s\n", i, waits ? ", when there is a token again" : "");
            }
            const bool kept = weft::clock::now() - began >= (requests - burst) * interval;
            std::printf("%s\n", kept ? "the limit was kept" : "TOO FAST");
            return kept ? 0 : 1;
        });
}
