#include "sys/io.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "sys/retry.hpp"

namespace weft::sys {

namespace {

/// uninterrupted(), for calls that can't be told not to raise SIGPIPE: a broken pipe's signal is meant for the calling
/// thread, which takes it before it is delivered.
template <class Call>
ssize_t without_sigpipe(Call&& call) noexcept
{
    sigset_t pipe;
    sigset_t before;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    (void)::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    const ssize_t result = uninterrupted(call);
    if (result == -EPIPE) {
        const timespec at_once{};
        (void)uninterrupted([&] { return ::sigtimedwait(&pipe, nullptr, &at_once); });
    }
    (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return result;
}

}  // namespace

ssize_t detail::read_by_libc(int fd, void* data, std::size_t n) noexcept
{
    return or_errno(::read(fd, data, n));
}

ssize_t detail::write_by_libc(int fd, const void* data, std::size_t n) noexcept
{
    return or_errno(::write(fd, data, n));
}

ssize_t readv_some(int fd, const iovec* parts, int n) noexcept
{
    return uninterrupted([&] { return ::readv(fd, parts, n); });
}

ssize_t writev_some(int fd, const iovec* parts, int n) noexcept
{
    return uninterrupted([&] { return ::writev(fd, parts, n); });
}

ssize_t splice_some(int from, int to, std::size_t n) noexcept
{
    return without_sigpipe([&] { return ::splice(from, nullptr, to, nullptr, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE); });
}

ssize_t sendfile_some(int to, int file, std::int64_t* offset, std::size_t n) noexcept
{
    return without_sigpipe([&] { return ::sendfile64(to, file, offset, n); });
}

int open_pipe(int (&ends)[2]) noexcept
{
    return ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
}

int open_event(unsigned initial) noexcept
{
    return uninterrupted([&] { return ::eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK); });
}

int open_process(int pid) noexcept
{
    return uninterrupted([&] { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); });
}

int collect_process(int process, int& status) noexcept
{
    constexpr auto by_descriptor = static_cast<idtype_t>(3);  // P_PIDFD, which glibc has since 2.36
    siginfo_t info{};
    const int failed =
        uninterrupted([&] { return ::waitid(by_descriptor, static_cast<id_t>(process), &info, WEXITED | WNOHANG); });
    if (failed < 0)
        return failed;
    if (info.si_pid == 0)
        return 0;
    if (info.si_code == CLD_EXITED)
        status = W_EXITCODE(info.si_status, 0);
    else
        status = W_EXITCODE(0, info.si_status) | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
    return 1;
}

int kind_of(int fd) noexcept
{
    struct stat s{};
    if (::fstat(fd, &s) != 0)
        return -errno;
    if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) || S_ISBLK(s.st_mode))
        return static_cast<int>(file_kind::regular);
    if (S_ISSOCK(s.st_mode))
        return static_cast<int>(file_kind::socket);
    return static_cast<int>(S_ISFIFO(s.st_mode) ? file_kind::pipe : file_kind::other);
}

int make_nonblocking(int fd) noexcept
{
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    return (flags & O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

std::optional<named_file> find_file(const std::string& path)
{
    struct stat found{};
    if (::lstat(path.c_str(), &found) != 0)
        return {};
    named_file file{path, found.st_dev, found.st_ino};
    if (!path.starts_with('/')) {
        const std::unique_ptr<char, void (*)(void*)> folder(::getcwd(nullptr, 0), &::free);
        if (folder == nullptr)
            return {};
        file.path = std::string(folder.get()) + '/' + path;
    }
    return file;
}

void remove_file(const named_file& file) noexcept
{
    struct stat found{};
    if (::lstat(file.path.c_str(), &found) == 0 && found.st_dev == file.device && found.st_ino == file.number)
        (void)::unlink(file.path.c_str());
}

ssize_t read_at(int fd, void* data, std::size_t n, std::uint64_t offset) noexcept
{
    return uninterrupted([&] { return ::pread(fd, data, n, static_cast<off_t>(offset)); });
}

int duplicate(int fd) noexcept
{
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 ? copy : -errno;
}

}  // namespace weft::sys
