// Runs into limits: no address space, no threads, max_threads, no ports.
//
// A scenario that ends by an exception says so on stdout and exits with 0; one that ends by a report of weft's dies of
// it.
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

constexpr std::size_t mib = std::size_t{1} << 20;

std::size_t address_space_in_use()
{
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// From now on the process may grow by `room` bytes.
void limit_address_space(std::size_t room)
{
    const rlimit limit{address_space_in_use() + room, address_space_in_use() + room};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) {
        std::perror("setrlimit");
        std::_Exit(70);
    }
}

// As a user who may have `count` more threads: root is exempt from the limit.
bool limit_threads(rlim_t count)
{
    const rlimit limit{count, count};
    if (::setgroups(0, nullptr) != 0 || ::setgid(65'534) != 0 || ::setrlimit(RLIMIT_NPROC, &limit) != 0 ||
        ::setuid(65'534) != 0) {
        say("skipped: needs root");
        return false;
    }
    return true;
}

template <class F>
int say_result(F&& f)
{
    try {
        f();
        say("no exception");
    } catch (const std::bad_alloc& e) {
        say("bad_alloc: %s", e.what());
    } catch (const std::system_error& e) {
        say("system_error: %s", e.what());
    } catch (const std::exception& e) {
        say("other exception: %s", e.what());
    }
    return 0;
}

// Goroutines that keep their stacks, until one can't get one.
int no_memory_for_stacks()
{
    return say_result(
        []
        {
            weft::run(
                []
                {
                    weft::async([] {}).get();
                    limit_address_space(256 * mib);
                    weft::wait_group never_done;
                    never_done.add();
                    for (;;) {
                        weft::go(weft::attr{.name = "stack eater", .stack_size = 4 * mib}, [&] { never_done.wait(); });
                        weft::yield();
                    }
                });
        });
}

int no_memory_for_a_large_stack()
{
    return say_result(
        []
        {
            weft::run(
                []
                {
                    weft::async([] {}).get();
                    limit_address_space(256 * mib);
                    weft::async(weft::attr{.name = "huge one", .stack_size = std::size_t{8} << 30}, [] {}).get();
                });
        });
}

// Goroutines that never run need control blocks only: whoever starts them keeps the P. go() says that there are no
// more, and everything goes on.
int no_memory_for_control_blocks()
{
    return weft::run(weft::options{.procs = 1, .slice = std::chrono::minutes(10)},
                     []
                     {
                         weft::async([] {}).get();
                         std::atomic<std::size_t> ran{0};
                         limit_address_space(64 * mib);
                         std::size_t started = 0;
                         try {
                             for (;;) {
                                 weft::go([&] { ++ran; });
                                 ++started;
                             }
                         } catch (const std::bad_alloc&) {
                             say("bad_alloc");
                         }
                         while (ran < started)
                             weft::yield();
                         say("all of them ran: %s", started > 100'000 ? "many" : "few");
                         weft::async([&] { ++ran; }).get();
                         say(ran == started + 1 ? "and it goes on" : "lost one");
                         return 0;
                     });
}

int no_memory_to_start()
{
    limit_address_space(128 << 10);
    return say_result([] { weft::run([] { say("ran"); }); });
}

int no_memory_for_a_heap_closure()
{
    return weft::run(
        []
        {
            struct huge {
                unsigned char bytes[64 * mib];
                void operator()() const { say("ran %d", bytes[0]); }
            };
            weft::async([] {}).get();
            static huge h;
            limit_address_space(32 * mib);
            const std::size_t before = weft::num_goroutines();
            try {
                weft::go(h);
                say("no exception");
            } catch (const std::bad_alloc&) {
                say("bad_alloc");
            }
            say("left behind: %zu", weft::num_goroutines() - before);
            return 0;
        });
}

int no_thread_to_start()
{
    if (!limit_threads(0))
        return 0;
    return say_result([] { weft::run([] { say("ran"); }); });
}

// The first threads start, later ones do not: what does not need them goes on.
int few_threads()
{
    weft::max_procs(8);
    return say_result(
        []
        {
            weft::run(
                []
                {
                    if (!limit_threads(1))
                        return;
                    std::atomic<int> ran{0};
                    weft::wait_group all;
                    for (int i = 0; i < 2'000; ++i) {
                        all.go(
                            [&]
                            {
                                for (int n = 0; n < 10; ++n)
                                    weft::yield();
                                ++ran;
                            });
                    }
                    all.wait();
                    say("ran %d, failures %s", ran.load(), weft::stats().thread_failures > 0 ? "some" : "none");
                });
        });
}

// Every goroutine here wants a thread for itself.
void hold_threads(int count)
{
    weft::wait_group all;
    static weft::wait_group never_done;
    never_done.add();
    for (int i = 0; i < count; ++i) {
        all.add();
        weft::go(weft::attr{.name = "holder", .pinned = true},
                 [&]
                 {
                     all.done();
                     never_done.wait();
                 });
    }
    all.wait();
    say("all of them run");
}

int no_thread_for_pinned()
{
    return say_result(
        []
        {
            weft::run(
                []
                {
                    if (limit_threads(3))
                        hold_threads(20);
                });
        });
}

int max_threads_reached()
{
    return say_result([] { weft::run(weft::options{.procs = 2, .max_threads = 6}, [] { hold_threads(20); }); });
}

int max_threads_suffices()
{
    return say_result([] { weft::run(weft::options{.procs = 2, .max_threads = 30}, [] { hold_threads(20); }); });
}

int max_threads_of_one()
{
    return say_result(
        []
        {
            weft::run(weft::options{.procs = 4, .max_threads = 1},
                      []
                      {
                          std::atomic<int> ran{0};
                          weft::wait_group all;
                          for (int i = 0; i < 1'000; ++i) {
                              all.go(
                                  [&]
                                  {
                                      weft::yield();
                                      ++ran;
                                  });
                          }
                          all.wait();
                          weft::sleep_for(std::chrono::milliseconds(2));
                          say("ran %d on %llu thread", ran.load(),
                              static_cast<unsigned long long>(weft::stats().threads));
                      });
        });
}

// Guards of the old kind need two mappings each, and vm.max_map_count bounds those. The report must say so.
int no_more_mappings()
{
    return say_result(
        []
        {
            weft::run(
                []
                {
                    weft::wait_group never_done;
                    never_done.add();
                    for (int i = 0; i < 200'000; ++i) {
                        weft::go(weft::attr{.name = "mapper", .stack_size = 16 << 10}, [&] { never_done.wait(); });
                        weft::yield();
                    }
                    say("all of them run");
                });
        });
}

// A network of its own, with nothing but the loopback device.
bool enter_empty_network()
{
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq device{};
    std::strcpy(device.ifr_name, "lo");
    device.ifr_flags = IFF_UP;
    const bool up = any >= 0 && ::ioctl(any, SIOCSIFFLAGS, &device) == 0;
    ::close(any);
    return up;
}

// The ports that the kernel chooses from.
bool set_ports(int first, int last)
{
    std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
    range << first << ' ' << last << std::flush;
    return range.good();
}

// The port that is dialed is the only one, or one of two, that the kernel can choose for the one who dials.
int dialed_port_is_chosen()
{
    const std::string where = "127.0.0.1:40000";
    if (!enter_empty_network() || !set_ports(40'000, 40'000)) {
        say("skipped: needs a network of its own");
        return 0;
    }
    return weft::run(
        [&]
        {
            std::error_code ec;
            const auto stream = weft::net::dial(where, ec);
            say("stream: %s", ec == std::errc::connection_refused ? "refused" : ec.message().c_str());
            if (!set_ports(40'000, 40'001))
                return 1;
            int to_themselves = 0;
            for (int i = 0; i < 100; ++i) {
                const auto datagrams = weft::net::dial_udp(where);
                to_themselves += datagrams.local_address() == datagrams.remote_address() ? 1 : 0;
            }
            say("datagrams to themselves: %d", to_themselves);
            return 0;
        });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"no_memory_for_stacks", no_memory_for_stacks},
                                     {"no_memory_for_a_large_stack", no_memory_for_a_large_stack},
                                     {"no_memory_for_control_blocks", no_memory_for_control_blocks},
                                     {"no_memory_to_start", no_memory_to_start},
                                     {"no_memory_for_a_heap_closure", no_memory_for_a_heap_closure},
                                     {"no_thread_to_start", no_thread_to_start},
                                     {"few_threads", few_threads},
                                     {"no_thread_for_pinned", no_thread_for_pinned},
                                     {"max_threads_reached", max_threads_reached},
                                     {"max_threads_suffices", max_threads_suffices},
                                     {"max_threads_of_one", max_threads_of_one},
                                     {"no_more_mappings", no_more_mappings},
                                     {"dialed_port_is_chosen", dialed_port_is_chosen}});
}
