// Programs with hibernated goroutines: what happens around them by itself, in children of fork(), and when a real fault
// comes.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../support/observe.hpp"
#include "../support/scenarios.hpp"
#include "../support/threads.hpp"
#include "weft/testing.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::say;

/// Goroutines that wait, each with a word on its stack.
class sleepers {
public:
    explicit sleepers(std::size_t n) : words_(n)
    {
        all_.add(static_cast<int>(n));
        for (std::size_t i = 0; i < n; ++i) {
            weft::go(weft::attr{.name = "sleeper"},
                     [this, i]
                     {
                         std::atomic<std::uint64_t> word{i};
                         words_[i] = &word;
                         open_.wait();
                         if (word == i)
                             ++intact_;
                         all_.done();
                     });
        }
    }
    [[nodiscard]] std::size_t size() const { return words_.size(); }
    [[nodiscard]] std::atomic<std::uint64_t>& word(std::size_t i) const { return *words_[i].load(); }
    [[nodiscard]] bool all_run() const
    {
        return std::all_of(words_.begin(), words_.end(), [](const auto& word) { return word.load() != nullptr; });
    }
    /// As all of them are away now, or would be.
    void hibernate() const
    {
        if (weft::stats().hibernation_off != nullptr) {
            say("off: %s", weft::stats().hibernation_off);
            (void)eventually([this] { return all_run(); });
            return;
        }
        (void)eventually(
            [this]
            {
                (void)weft::testing::hibernate_parked();
                return weft::stats().goroutines_hibernated >= size();
            });
        say("hibernated: %s", weft::stats().goroutines_hibernated >= size() ? "all" : "not all");
    }
    void wake()
    {
        open_.open();
        all_.wait();
        say("intact: %s", intact_ == size() ? "all" : "not all");
    }

private:
    std::vector<std::atomic<std::atomic<std::uint64_t>*>> words_;
    weft::test::gate open_;
    weft::wait_group all_;
    std::atomic<std::size_t> intact_{0};
};

// --- by itself

int by_itself_after(std::chrono::nanoseconds after, std::size_t n)
{
    return weft::run(weft::options{.hibernate_after = after},
                     [n]
                     {
                         sleepers all(n);
                         if (weft::stats().hibernation_off != nullptr)
                             say("off: %s", weft::stats().hibernation_off);
                         else if (eventually([n] { return weft::stats().goroutines_hibernated >= n; }))
                             say("hibernated: all");
                         all.wake();
                         return 51;
                     });
}

int by_itself()
{
    return by_itself_after(10ms, 500);
}

/// While no goroutine runs, and none will before they are hibernated.
int though_nothing_runs()
{
    return weft::run(weft::options{.hibernate_after = 10ms},
                     []
                     {
                         sleepers all(500);
                         if (weft::stats().hibernation_off != nullptr)
                             say("off: %s", weft::stats().hibernation_off);
                         weft::test::gate seen;
                         std::thread watcher(
                             [&]
                             {
                                 // Without weft: a sleep of its own would have the process wake.
                                 const auto poll_until = [](auto holds)
                                 {
                                     while (!holds())
                                         std::this_thread::sleep_for(1ms);
                                 };
                                 if (weft::stats().hibernation_off == nullptr) {
                                     poll_until([&] { return weft::stats().goroutines_hibernated >= all.size(); });
                                     say("hibernated: all");
                                     const long hibernator = weft::test::thread_named("weft-cold");
                                     poll_until(
                                         [hibernator]
                                         {
                                             const long before = weft::test::times_slept(hibernator);
                                             std::this_thread::sleep_for(200ms);  // 20 intervals
                                             return weft::test::times_slept(hibernator) == before;
                                         });
                                     say("the hibernator sleeps");
                                 }
                                 seen.open();
                             });
                         seen.wait();
                         watcher.join();
                         all.wake();
                         return 58;
                     });
}

int eagerly()
{
    return by_itself_after(1h, 3);
}

int never()
{
    return weft::run(weft::options{.hibernate_after = 0s},
                     []
                     {
                         sleepers all(100);
                         (void)eventually([] { return weft::stats().goroutines_waiting >= 100; });
                         say("%zu at once", weft::testing::hibernate_parked());
                         all.hibernate();
                         all.wake();
                         return 52;
                     });
}

int out_of_range()
{
    for (const std::chrono::nanoseconds bad : {std::chrono::nanoseconds(-1), std::chrono::nanoseconds(25h)}) {
        try {
            weft::run(weft::options{.hibernate_after = bad}, [] {});
        } catch (const std::invalid_argument& e) {
            say("%s", e.what());
        }
    }
    return 53;
}

int deadlock()
{
    return weft::run(
        []
        {
            sleepers all(100);
            all.hibernate();
            weft::wait_group for_ever;
            for_ever.add();
            for_ever.wait();
        });
}

// --- fork

int status_of(pid_t child)
{
    int status = -1;
    if (::waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1'000 + WTERMSIG(status);
}

int forks()
{
    return weft::run(
        []
        {
            sleepers all(200);
            for (int round = 0; round < 5; ++round) {
                all.hibernate();
                const pid_t plain = ::fork();
                if (plain == 0) {
                    std::size_t right = 0;
                    for (std::size_t i = 0; i < all.size(); ++i) {
                        right += all.word(i) == i ? 1U : 0U;
                        all.word(i) = 7;  // the child's own
                    }
                    ::_exit(right == all.size() ? 0 : 1);
                }
                const pid_t with_exec = ::fork();
                if (with_exec == 0) {
                    if (all.word(3) == 3)
                        ::execl("/bin/sh", "sh", "-c", "exit 5", static_cast<char*>(nullptr));
                    ::_exit(99);
                }
                say("children: %d %d", status_of(plain), status_of(with_exec));
            }
            all.wake();
            return 54;
        });
}

/// While others hibernate and restore all the time.
int forks_in_between()
{
    return weft::run(
        []
        {
            sleepers all(200);
            all.hibernate();
            std::atomic<bool> stop{false};
            std::thread hibernator(
                [&]
                {
                    while (!stop)
                        (void)weft::testing::hibernate_parked();
                });
            std::thread stranger(
                [&]
                {
                    for (std::size_t i = 0; !stop; ++i)
                        (void)all.word(i % all.size()).load();
                });
            int good = 0;
            for (int round = 0; round < 50; ++round) {
                const pid_t child = ::fork();
                if (child == 0) {
                    std::size_t right = 0;
                    for (std::size_t i = 0; i < all.size(); ++i)
                        right += all.word(i) == i ? 1U : 0U;
                    ::_exit(right == all.size() ? 0 : 1);
                }
                good += status_of(child) == 0 ? 1 : 0;
            }
            stop = true;
            hibernator.join();
            stranger.join();
            say("good children: %d", good);
            all.wake();
            return 55;
        });
}

// --- real faults

constexpr std::uintptr_t default_stack = weft::default_stack_size + (64U << 10U);  // its guard included

/// The lowest word of the stack with that address: in its guard.
volatile std::uint64_t& guard_below(const std::atomic<std::uint64_t>& word)
{
    return *reinterpret_cast<volatile std::uint64_t*>(reinterpret_cast<std::uintptr_t>(&word) & ~(default_stack - 1));
}

/// `n`: few, or so many that whole ranges of stacks are away.
template <std::size_t N>
int wild_pointer_into_a_guard()
{
    return weft::run(
        []
        {
            sleepers all(N);
            all.hibernate();
            guard_below(all.word(N / 2)) = 1;
            say("not reached");
        });
}

int jump_into_a_stack()
{
    return weft::run(
        []
        {
            sleepers all(3);
            all.hibernate();
            void (*volatile nowhere)() = reinterpret_cast<void (*)()>(&all.word(1));
            nowhere();
            say("not reached");
        });
}

void on_real_fault(int, siginfo_t* info, void*)
{
    say("user handler: address %llu", static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(info->si_addr)));
    ::_exit(56);
}

int user_handler_before()
{
    struct sigaction mine = {};
    mine.sa_sigaction = &on_real_fault;
    mine.sa_flags = SA_SIGINFO;
    ::sigaction(SIGSEGV, &mine, nullptr);
    return weft::run(
        []
        {
            sleepers all(100);
            all.hibernate();
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < all.size(); ++i)
                sum += all.word(i);
            say("sum: %llu", static_cast<unsigned long long>(sum));
            all.wake();
            volatile std::uint64_t* volatile wild = reinterpret_cast<volatile std::uint64_t*>(16);
            *wild = 1;
        });
}

// --- signal handlers of the program

const sleepers* looked_at = nullptr;
std::atomic<std::uint64_t> seen_in_handler{0};

/// Uses some of the stack that it runs on, and touches others.
[[gnu::noinline]] void look(int)
{
    std::array<volatile char, 3'000> some{};
    for (std::size_t i = 0; i < some.size(); i += 100)
        some[i] = 1;
    for (std::size_t i = 0; i < looked_at->size(); ++i)
        seen_in_handler += looked_at->word(i);
}

int handler(int flags)
{
    struct sigaction mine = {};
    mine.sa_handler = &look;
    mine.sa_flags = flags;
    ::sigaction(SIGUSR1, &mine, nullptr);
    return weft::run(
        []
        {
            sleepers all(50);
            looked_at = &all;
            weft::chan<int> wake(0);
            weft::chan<int> done(0);
            weft::go(
                [&]
                {
                    std::array<std::uint64_t, 100> mine_too{};
                    mine_too.fill(9);
                    while (wake.recv()) {
                        ::raise(SIGUSR1);  // on a stack that has just come back
                        int intact = 0;
                        for (const std::uint64_t w : mine_too)
                            intact += w == 9 ? 1 : 0;
                        done.send(intact);
                    }
                    done.close();
                });
            int intact = 0;
            for (int i = 0; i < 20; ++i) {
                (void)eventually(
                    [&]
                    {
                        (void)weft::testing::hibernate_parked();
                        return all.all_run() && (weft::stats().hibernation_off != nullptr ||
                                                 weft::stats().goroutines_hibernated >= all.size() + 1);
                    });
                wake.send(1);
                intact += done.recv().value();
            }
            wake.close();
            (void)done.recv();
            say("handler: %llu, intact: %d", static_cast<unsigned long long>(seen_in_handler.load()), intact);
            all.wake();
            return 57;
        });
}

int handler_on_the_stack()
{
    return handler(0);
}

int handler_on_the_alternate_stack()
{
    return handler(SA_ONSTACK);
}

// --- system calls that are met by a thread of ours

/// From now on a filter has the kernel ask `answer(call)`, on a thread of its own, about each call of `number` whose
/// argument `index` is `value`: 0 lets it be done, else it fails with that errno. False: this kernel can't.
template <class Answer>
bool ask_about(long number, std::size_t index, std::uint32_t value, Answer answer)
{
    constexpr std::uint32_t number_at = offsetof(seccomp_data, nr);
    const auto value_at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t));
    std::array<sock_filter, 6> steps{{{BPF_LD | BPF_W | BPF_ABS, 0, 0, number_at},
                                      {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, static_cast<std::uint32_t>(number)},
                                      {BPF_LD | BPF_W | BPF_ABS, 0, 0, value_at},  // its low half
                                      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value},
                                      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF},
                                      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
    const sock_fprog program{static_cast<unsigned short>(steps.size()), steps.data()};
    constexpr unsigned long of_all_threads =
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    const auto listener = static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, of_all_threads, &program));
    if (listener < 0)
        return false;
    std::thread(
        [listener, answer]
        {
            for (;;) {
                seccomp_notif call{};
                if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
                    continue;
                seccomp_notif_resp reply{};
                reply.id = call.id;
                if (const int error = answer(call); error != 0)
                    reply.error = -error;
                else
                    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
                (void)::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
            }
        })
        .detach();
    return true;
}

/// From now on, `refused` times (negative: always), putting a page back by userfaultfd fails as it does where there is
/// no memory.
bool make_memory_short(int refused, std::atomic<int>& asked)
{
    return ask_about(SYS_ioctl, 1, static_cast<std::uint32_t>(UFFDIO_COPY), [refused, &asked](const seccomp_notif&)
                     { return refused < 0 || asked.fetch_add(1) < refused ? ENOMEM : 0; });
}

/// A stream is read into a stack in the middle of the process's first hibernation: the page is gone, and nothing has
/// been counted yet.
int read_while_the_first_is_taken_away()
{
    return weft::run(
        []
        {
            constexpr std::uint32_t guard_install = 102;  // MADV_GUARD_INSTALL
            static std::atomic<bool> armed{false};
            static std::atomic<bool> halted{false};
            static std::atomic<bool> read{false};
            static std::atomic<long> reader{0};
            const auto halt_once = [](const seccomp_notif&)
            {
                if (!armed.exchange(false))
                    return 0;
                halted = true;
                while (!read && (reader == 0 || !weft::test::thread_sleeps(reader)))
                    std::this_thread::sleep_for(1ms);
                return 0;
            };
            if (weft::stats().hibernation_off != nullptr)
                say("off: %s", weft::stats().hibernation_off);
            else if (!ask_about(SYS_madvise, 2, guard_install, halt_once))
                say("off: this kernel's filters can't ask");
            sleepers all(1);
            weft::net::unix_ends ends = weft::net::unix_pair();
            ends.first.write("12345678");
            (void)eventually([&] { return all.all_run() && weft::stats().goroutines_waiting >= 1; });
            std::thread stranger(
                [&]
                {
                    while (!halted)
                        std::this_thread::sleep_for(1ms);
                    reader = weft::test::thread_id();
                    std::error_code ec;
                    const std::size_t n = ends.second.read(std::as_writable_bytes(std::span(&all.word(0), 1)), ec);
                    read = true;
                    say("read %zu: %s", n, ec.message().c_str());
                });
            armed = true;
            while (weft::stats().hibernation_off == nullptr && weft::testing::hibernate_parked() == 0)
                weft::yield();
            halted = true;  // where it is off
            stranger.join();
            all.word(0) = 0;
            all.wake();
            return 59;
        });
}

int woken_while_memory_is_short(int refused)
{
    return weft::run(
        [refused]
        {
            static std::atomic<int> asked{0};  // the thread lives on
            sleepers all(20);
            all.hibernate();
            if (!make_memory_short(refused, asked)) {
                say("off: this kernel's filters can't ask");
                return 0;
            }
            all.wake();
            if (asked == 0)
                say("off: stacks do not come back by userfaultfd here");
            return 56;
        });
}

int memory_is_short_for_a_moment()
{
    return woken_while_memory_is_short(50);
}
int memory_is_short_for_good()
{
    return woken_while_memory_is_short(-1);
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"by_itself", by_itself},
                                     {"though_nothing_runs", though_nothing_runs},
                                     {"read_while_the_first_is_taken_away", read_while_the_first_is_taken_away},
                                     {"eagerly", eagerly},
                                     {"never", never},
                                     {"out_of_range", out_of_range},
                                     {"deadlock", deadlock},
                                     {"forks", forks},
                                     {"forks_in_between", forks_in_between},
                                     {"wild_pointer_beside_few", wild_pointer_into_a_guard<3>},
                                     {"wild_pointer_beside_many", wild_pointer_into_a_guard<300>},
                                     {"memory_is_short_for_a_moment", memory_is_short_for_a_moment},
                                     {"memory_is_short_for_good", memory_is_short_for_good},
                                     {"jump_into_a_stack", jump_into_a_stack},
                                     {"user_handler_before", user_handler_before},
                                     {"handler_on_the_stack", handler_on_the_stack},
                                     {"handler_on_the_alternate_stack", handler_on_the_alternate_stack}});
}
