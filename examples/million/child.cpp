#include "child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <system_error>

namespace million {

namespace {

/// In the child: the end of the pipe that takes the result.
int result_pipe = -1;

void hand_over(const run_result& r)
{
    const std::string text = nlohmann::json(r).dump();
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = write(result_pipe, text.data() + sent, text.size() - sent);
        if (n < 0 && errno != EINTR)
            return;
        sent += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
}

run_result failed(std::string why)
{
    run_result r;
    r.error = std::move(why);
    return r;
}

[[noreturn]] void be_child(const std::function<run_result()>& measure, int pipe_end)
{
    result_pipe = pipe_end;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Of all processes this one shall go first when memory runs out.
    std::ofstream("/proc/self/oom_score_adj") << 1000;
    try {
        hand_over(measure());
    } catch (const std::exception& e) {
        hand_over(failed(text_of(e)));
    }
    std::exit(EXIT_SUCCESS);
}

std::string read_all(int fd)
{
    std::string text;
    char buffer[4096];
    for (;;) {
        const ssize_t n = read(fd, buffer, sizeof buffer);
        if (n > 0)
            text.append(buffer, static_cast<std::size_t>(n));
        else if (n == 0 || errno != EINTR)
            return text;
    }
}

std::string cause_of_death(int status)
{
    if (!WIFSIGNALED(status))
        return fmt::format("the process ended with status {}; its message stands on stderr", WEXITSTATUS(status));
    const int signal = WTERMSIG(status);
    const char* hint = "its message stands on stderr";
    if (signal == SIGKILL)
        hint = "most likely by the kernel for want of memory; `dmesg` tells";
    return fmt::format("the process was ended by signal {} ({}): {}", signal, strsignal(signal), hint);
}

}  // namespace

std::string text_of(const std::exception& e)
{
    return dynamic_cast<const std::bad_alloc*>(&e) != nullptr ? "out of memory (std::bad_alloc)" : e.what();
}

run_result run_in_child(const std::function<run_result()>& measure)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe2");
    std::fflush(nullptr);  // or the child would print it again
    const pid_t child = fork();
    if (child < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) {
        close(ends[0]);
        be_child(measure, ends[1]);
    }
    close(ends[1]);
    const std::string text = read_all(ends[0]);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    const bool died = !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS;
    const nlohmann::json result = nlohmann::json::parse(text, nullptr, false);
    if (result.is_discarded())
        return failed(cause_of_death(status));
    run_result r = result.get<run_result>();
    if (died && r.error.empty())
        r.error = cause_of_death(status);  // it had its result and died in its exit: not to be hidden
    return r;
}

void abandon_child(const std::string& why)
{
    hand_over(failed(why));
    _exit(EXIT_FAILURE);
}

}  // namespace million
