// A rate limiter: requests may come in bursts, and in the long run no more than one in an interval passes. A token
// bucket, which is a buffered channel: a goroutine puts a token in at each interval, unless it is full; a request takes
// one out and waits while it is empty.
#include <chrono>
#include <cstdio>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

class rate_limiter {
public:
    rate_limiter(std::chrono::nanoseconds interval, int burst) : tokens_(burst)
    {
        for (int i = 0; i < burst; ++i)
            tokens_.send({});
        weft::go([interval, tokens = tokens_, life = weft::context(life_)] { refill(interval, tokens, life); });
    }

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

    static void refill(std::chrono::nanoseconds interval, const weft::sender<token>& tokens, const weft::context& life)
    {
        const weft::ticker ticks(interval);
        while (!life.err())
            weft::select(weft::on_recv(ticks.channel(), [&] { static_cast<void>(tokens.try_send(token{})); }),
                         weft::on_done(life));
    }

    weft::chan<token> tokens_;
    weft::cancel_context life_ = weft::with_cancel(weft::background());  // ends with this object, and refill() with it
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
