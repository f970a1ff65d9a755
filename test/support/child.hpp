// Running a program and looking at its end: exit status or signal, and what it wrote.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace weft::test {

/// How a program ended.
struct outcome {
    int exit_code = -1;  ///< -1: it did not exit
    int signal = 0;      ///< that killed it; 0: none
    bool timed_out = false;
    std::string out;
    std::string err;

    [[nodiscard]] bool exited(int code) const { return exit_code == code && !timed_out; }
    [[nodiscard]] bool died_of(int sig) const { return signal == sig && !timed_out; }
    [[nodiscard]] bool wrote(std::string_view text) const { return out.find(text) != std::string::npos; }
    [[nodiscard]] bool reported(std::string_view text) const { return err.find(text) != std::string::npos; }

    friend std::ostream& operator<<(std::ostream& os, const outcome& o)
    {
        if (o.timed_out)
            os << "did not end";
        else if (o.signal != 0)
            os << "killed by " << ::strsignal(o.signal);
        else
            os << "exit status " << o.exit_code;
        return os << "\n--- stdout\n" << o.out << "--- stderr\n" << o.err << "---";
    }
};

namespace detail {

struct descriptor {
    int fd = -1;
    descriptor() = default;
    explicit descriptor(int f) : fd(f) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() { close(); }
    void close()
    {
        if (fd >= 0)
            ::close(std::exchange(fd, -1));
    }
};

inline void open_pipe(descriptor& read_end, descriptor& write_end)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe2");
    read_end.fd = ends[0];
    write_end.fd = ends[1];
}

inline std::vector<char*> pointers(std::vector<std::string>& strings)
{
    std::vector<char*> p;
    for (std::string& s : strings)
        p.push_back(s.data());
    p.push_back(nullptr);
    return p;
}

/// This process's environment without weft's variables, with `extra` ("NAME=value") instead of or beside the others.
inline std::vector<std::string> environment(const std::vector<std::string>& extra)
{
    const auto name = [](std::string_view s) { return s.substr(0, s.find('=')); };
    std::vector<std::string> all = extra;
    for (char** e = ::environ; *e != nullptr; ++e) {
        const std::string_view own = name(*e);
        bool keep = own != "WEFT_PROCS" && own != "WEFT_DEBUG";
        for (const std::string& s : extra)
            keep = keep && name(s) != own;
        if (keep)
            all.emplace_back(*e);
    }
    return all;
}

}  // namespace detail

/// Runs `command` (a program and arguments) to its end, or kills it after `limit`, which is there for programs that
/// hang.
inline outcome run_program(std::vector<std::string> command, const std::vector<std::string>& extra_environment = {},
                           std::chrono::seconds limit = std::chrono::seconds(120))
{
    detail::descriptor out_read;
    detail::descriptor out_write;
    detail::descriptor err_read;
    detail::descriptor err_write;
    detail::open_pipe(out_read, out_write);
    detail::open_pipe(err_read, err_write);

    std::vector<std::string> variables = detail::environment(extra_environment);
    std::vector<char*> argv = detail::pointers(command);
    std::vector<char*> envp = detail::pointers(variables);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out_write.fd, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, err_write.fd, STDERR_FILENO);
    pid_t pid = -1;
    const int failure = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), envp.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (failure != 0)
        throw std::system_error(failure, std::generic_category(), command[0]);
    out_write.close();
    err_write.close();

    outcome result;
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (out_read.fd >= 0 || err_read.fd >= 0) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            result.timed_out = true;
            ::kill(pid, SIGKILL);
            break;
        }
        std::array<pollfd, 2> wanted{{{out_read.fd, POLLIN, 0}, {err_read.fd, POLLIN, 0}}};
        if (::poll(wanted.data(), wanted.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "poll");
        const auto drain = [](const pollfd& p, detail::descriptor& from, std::string& into)
        {
            if (p.revents == 0)
                return;
            std::array<char, 4'096> buffer{};
            const ssize_t n = ::read(from.fd, buffer.data(), buffer.size());
            if (n > 0)
                into.append(buffer.data(), static_cast<std::size_t>(n));
            else if (n == 0 || errno != EINTR)
                from.close();
        };
        drain(wanted[0], out_read, result.out);
        drain(wanted[1], err_read, result.err);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "waitpid");
    if (WIFSIGNALED(status))
        result.signal = WTERMSIG(status);
    else
        result.exit_code = WEXITSTATUS(status);
    return result;
}

#ifdef WEFT_CHILD_DIR
/// Whether children run under an emulator of another processor. It has threads of its own in the process, so no
/// deadlock is ever reported; and it writes signal frames itself.
inline bool emulated()
{
    return !std::string_view(WEFT_CHILD_LAUNCHER).empty();
}

/// Runs scenario `name` of the child program `program`, behind the emulator if there is one.
inline outcome run_child(const std::string& program, const std::string& name,
                         const std::vector<std::string>& extra_environment = {})
{
    std::vector<std::string> command;
    std::istringstream words(WEFT_CHILD_LAUNCHER);
    for (std::string word; words >> word;)
        command.push_back(word);
    command.push_back(std::string(WEFT_CHILD_DIR "/") + program);
    command.push_back(name);
    return run_program(std::move(command), extra_environment);
}
#endif

}  // namespace weft::test
