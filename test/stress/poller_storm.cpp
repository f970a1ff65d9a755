// Who waits for descriptors is woken although nobody else will come by: a plain thread asks and waits for the answers,
// so that between its requests all of the runtime sleeps. The servers read, and then compute, block, yield or start
// others, so that Ps are handed to Ms that sleep in the poller while others poll beside them.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "support/storm.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::rng;

/// Answers each byte. Before, it does one of the things up to `last`, or always `last`.
void serve(weft::io::stream& s, rng r, std::uint64_t last, bool always)
{
    std::byte buffer[64];
    while (const std::size_t n = s.read(buffer)) {
        const auto us = std::chrono::microseconds(r.below(300));
        switch (always ? last : r.below(last + 1)) {
            case 1:
                for (const auto end = std::chrono::steady_clock::now() + us; std::chrono::steady_clock::now() < end;) {
                }
                break;
            case 2:
                weft::async([] { weft::yield(); }).get();
                break;
            case 3:
                weft::sleep_for(us);
                break;
            case 4:
                weft::blocking([us] { std::this_thread::sleep_for(us); });
                break;
            case 5:
                (void)weft::fs::read_file("/proc/self/exe");  // blocks and computes by turns
                break;
            default:
                break;
        }
        s.write(std::span(buffer).first(n));
    }
}

/// The plain thread's end of a connection.
class client {
public:
    explicit client(int fd) noexcept : fd_(fd) {}

    void ask(weft::test::storm& storm, std::size_t n)
    {
        const char request[64] = {};
        storm.check(::write(fd_, request, n) == static_cast<ssize_t>(n), "a request can't be written");
        owed_ += n;
    }
    void hear(weft::test::storm& storm)
    {
        char answer[64];
        while (owed_ > 0) {
            pollfd wanted{fd_, POLLIN, 0};
            int ready;
            do
                ready = ::poll(&wanted, 1, 60'000);
            while (ready < 0 && errno == EINTR);
            storm.check(ready == 1, "there is no answer: who should give it waits, or does not run");
            const ssize_t n = ::read(fd_, answer, std::min(sizeof answer, owed_));
            storm.check(n > 0, "a connection has ended");
            owed_ -= static_cast<std::size_t>(n);
        }
        storm.progress();
    }
    void close() const noexcept { ::close(fd_); }

private:
    int fd_;
    std::size_t owed_ = 0;
};

void ask_all(weft::test::storm& storm, std::vector<client>& clients, rng r)
{
    for (int burst = 0; burst < 30; ++burst) {
        const std::uint64_t asked = 1 + r.below(clients.size());
        for (std::uint64_t i = 0; i < asked; ++i)
            clients[r.below(clients.size())].ask(storm, 1 + r.below(64));
        for (client& c : clients)
            c.hear(storm);
        if (r.below(3) == 0)  // until Ms have gone to sleep
            std::this_thread::sleep_for(std::chrono::microseconds(r.below(2'000)));
    }
    for (const client& c : clients)
        c.close();
}

void one_round(weft::test::storm& storm, rng& r)
{
    weft::max_procs(1 + static_cast<int>(r.below(4)));
    std::vector<client> clients;
    weft::wait_group servers;
    const std::uint64_t n = 1 + r.below(60);
    const std::uint64_t last = r.below(6);
    const bool always = r.below(2) == 0;
    for (std::uint64_t i = 0; i < n; ++i) {
        int ends[2];
        storm.check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no socket is to be had");
        clients.emplace_back(ends[0]);
        std::error_code ec;
        servers.go([s = weft::io::adopt(ends[1], ec), last, always, seed = r.split()]() mutable
                   { serve(s, seed, last, always); });
        storm.check(!ec, "a socket is not adopted");
    }
    std::thread asking([&, seed = r.split()] { ask_all(storm, clients, seed); });
    servers.wait();
    asking.join();
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("poller_storm", argc, argv);
    storm.settings.keep_threads = 1ms;  // with one to spare the timekeeper is not woken for work
    return storm.run([&](rng r, std::uint64_t) { one_round(storm, r); });
}
