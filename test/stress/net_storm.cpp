// Connections over loopback and Unix sockets that come and go at random: requests echoed, half-closed, reset, closed
// while others read and write on them, deadlines set while others wait. What is echoed is right; every call ends; no
// descriptor, stack or timer is left, and memory does not grow.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/storm.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::rng;

std::size_t open_descriptors()
{
    std::size_t n = 0;
    DIR* const dir = ::opendir("/proc/self/fd");
    while (::readdir(dir) != nullptr)
        ++n;
    ::closedir(dir);
    return n;
}

/// Resident memory, bytes.
std::size_t resident()
{
    std::ifstream statm("/proc/self/statm");
    std::size_t size = 0;
    std::size_t pages = 0;
    statm >> size >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

bool is_expected(const std::error_code& ec)
{
    for (const std::errc e :
         {std::errc::operation_canceled, std::errc::timed_out, std::errc::connection_reset, std::errc::broken_pipe,
          std::errc::connection_refused, std::errc::connection_aborted, std::errc::not_connected})
        if (ec == e)
            return true;
    return ec == weft::context_errc::canceled || ec == weft::context_errc::deadline_exceeded || !ec;
}

class round {
public:
    round(weft::test::storm& storm, rng& r, const std::string& where)
        : storm_(storm), listener_(weft::net::listen(where)), where_(listener_.local_address().to_string())
    {
        weft::wait_group servers;
        weft::wait_group clients;
        const std::uint64_t acceptors = 1 + r.below(3);
        for (std::uint64_t i = 0; i < acceptors; ++i)
            servers.go([this, &servers, seed = r.split()] { serve(servers, seed); });
        const std::uint64_t n = 4 + r.below(60);
        for (std::uint64_t i = 0; i < n; ++i)
            clients.go([this, seed = r.split()]() mutable { act(seed); });
        clients.wait();
        listener_.close();
        servers.wait();
    }

private:
    void check(const std::error_code& ec) { storm_.check(is_expected(ec), ec.message().c_str()); }

    void serve(weft::wait_group& servers, rng r)
    {
        for (;;) {
            if (r.below(4) == 0)
                listener_.set_read_deadline(std::chrono::microseconds(r.below(200)));
            std::error_code ec;
            auto c = std::make_shared<weft::net::tcp_conn>(listener_.accept(ec));
            check(ec);
            if (ec == std::errc::operation_canceled)
                return;
            if (ec) {
                listener_.set_read_deadline(weft::clock::time_point::max());
                continue;
            }
            servers.go([this, c, seed = r.split()]() mutable { echo(*c, seed); });
        }
    }

    void echo(weft::net::tcp_conn& c, rng& r)
    {
        std::array<std::byte, 4'096> buffer;
        for (;;) {
            std::error_code ec;
            const std::size_t n = c.read(buffer, ec);
            check(ec);
            if (ec || n == 0)
                return;
            c.write(std::span(buffer).first(n), ec);
            check(ec);
            if (ec)
                return;
            switch (r.below(200)) {
                case 0:
                    c.linger(0s, ec);  // reset
                    return;
                case 1:
                    c.shutdown_write(ec);
                    break;
                default:
                    break;
            }
            storm_.progress();
        }
    }

    /// Writes `size` bytes from `first` on, and reads as many, which must be the same.
    static void talk(round& in, weft::net::tcp_conn& c, std::size_t size, unsigned char first)
    {
        std::vector<std::byte> out(size);
        for (std::size_t i = 0; i < size; ++i)
            out[i] = static_cast<std::byte>(first + i);
        weft::wait_group writing;
        writing.go(
            [&]
            {
                std::error_code ec;
                c.write(out, ec);
                in.check(ec);
            });
        std::size_t got = 0;
        std::array<std::byte, 3'000> buffer;
        while (got < size) {
            std::error_code ec;
            const std::size_t n = c.read(std::span(buffer).first(std::min(buffer.size(), size - got)), ec);
            in.check(ec);
            if (ec || n == 0)
                break;
            for (std::size_t i = 0; i < n; ++i)
                in.storm_.check(buffer[i] == out[got + i], "an echo is not what was sent");
            got += n;
        }
        if (got < size) {  // the writer may wait for who does not read any more
            std::error_code ec;
            c.close(ec);
        }
        writing.wait();
    }

    void act(rng& r)
    {
        auto scope = weft::with_cancel(weft::background());
        weft::wait_group beside;
        if (r.below(10) == 0)
            beside.go(
                [&, us = r.below(300)]
                {
                    weft::sleep_for(std::chrono::microseconds(us));
                    scope.cancel();
                });
        std::error_code ec;
        weft::net::tcp_conn c = weft::net::dial(where_, scope, ec);
        check(ec);
        if (!ec)
            use(c, r, beside);
        beside.wait();
        storm_.progress();
    }

    void use(weft::net::tcp_conn& c, rng& r, weft::wait_group& beside)
    {
        const std::uint64_t kind = r.below(6);
        const auto later = std::chrono::microseconds(r.below(2'000));
        if (kind == 0)
            beside.go(
                [&c, later]
                {
                    weft::sleep_for(later);
                    std::error_code ignored;
                    c.close(ignored);
                });
        if (kind == 1)
            c.set_deadline(later);
        if (kind == 2)
            beside.go(
                [&c, later, seed = r.split()]() mutable
                {
                    for (int i = 0; i < 20; ++i) {
                        weft::sleep_for(later / 20);
                        c.set_read_deadline(std::chrono::microseconds(seed.below(3'000)));
                        c.set_write_deadline(std::chrono::microseconds(seed.below(3'000)));
                    }
                });
        for (std::uint64_t i = r.below(30); i > 0 && c; --i)
            talk(*this, c, 1 + r.below(r.below(10) == 0 ? 400'000 : 2'000), static_cast<unsigned char>(i));
        beside.wait();
        if (r.below(8) == 0) {
            std::error_code ignored;
            c.linger(0s, ignored);
        }
    }

    weft::test::storm& storm_;
    weft::net::tcp_listener listener_;
    std::string where_;
};

/// The first rounds say how much it takes; a connection that is lost in each of the later ones would be much more.
void check_memory(weft::test::storm& storm, std::uint64_t number)
{
    if constexpr (!weft::test::under_sanitizer) {  // those keep what was freed
        constexpr std::uint64_t first_rounds = 100;
        constexpr std::size_t leeway = std::size_t{16} << 20;
        static std::size_t base = 0;
        if (number < first_rounds)
            base = std::max(base, resident());
        else
            storm.check(resident() <= base + leeway, "memory grows");
    }
}

void one_round(weft::test::storm& storm, rng& r, std::uint64_t number)
{
    static std::size_t before = 0;
    weft::max_procs(1 + static_cast<int>(r.below(8)));
    const bool local = r.below(3) == 0;
    round(storm, r, local ? "unix:@weft_net_storm." + std::to_string(::getpid()) : "127.0.0.1:0");
    if (number < 2)
        before = open_descriptors();
    // What a goroutine has captured goes after its wait group has heard of its end.
    storm.check(weft::test::eventually([] { return open_descriptors() <= before; }), "descriptors were left open");
    storm.check(weft::test::eventually(
                    []
                    {
                        const weft::runtime_stats s = weft::stats();
                        return s.goroutines == 1 && s.stacks_in_use <= 1 && s.timers <= 1;  // ours, and our sleep
                    }),
                "goroutines, stacks or timers were left over");
    check_memory(storm, number);
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("net_storm", argc, argv);
    return storm.run([&](rng r, std::uint64_t number) { one_round(storm, r, number); });
}
