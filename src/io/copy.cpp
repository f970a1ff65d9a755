// From one descriptor to another: through a pipe of the kernel's, where both are of a kind that splice(2) takes, else
// through a buffer.
//
// What has been taken from the source stands in the pipe until the sink has it, so each step waits for one side only:
// EAGAIN of the first splice is the source's (the pipe is empty), of the second the sink's.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include "io/fd.hpp"
#include "io/result.hpp"
#include "sys/io.hpp"
#include "sys/poll.hpp"
#include "weft/io.hpp"

namespace weft::io {

namespace {

constexpr std::size_t chunk = 65'536;  // bytes: what a pipe holds by default

class kernel_pipe {
public:
    kernel_pipe() noexcept : error_(sys::open_pipe(ends_)) {}
    kernel_pipe(const kernel_pipe&) = delete;
    kernel_pipe& operator=(const kernel_pipe&) = delete;
    ~kernel_pipe()
    {
        if (error_ != 0)
            return;
        sys::close_descriptor(ends_[0]);
        sys::close_descriptor(ends_[1]);
    }
    [[nodiscard]] bool is_open() const noexcept { return error_ == 0; }
    [[nodiscard]] int out() const noexcept { return ends_[0]; }
    [[nodiscard]] int in() const noexcept { return ends_[1]; }

private:
    int ends_[2]{};
    int error_;
};

struct progress {
    std::uint64_t count = 0;
    int error = 0;
    bool at_end = false;
    bool unfit = false;  ///< splice(2) can't go on; nothing was lost
};

/// Empties `through`, which has `n` bytes, into the sink.
int drain(const kernel_pipe& through, std::size_t n, const fd::side_guard& sink, std::uint64_t& count) noexcept
{
    while (n > 0) {
        const ssize_t put = sink.until_done([&](int to) { return sys::splice_some(through.out(), to, n); });
        if (put < 0)
            return static_cast<int>(-put);
        n -= static_cast<std::size_t>(put);
        count += static_cast<std::uint64_t>(put);
    }
    return 0;
}

progress copy_in_kernel(const fd::side_guard& source, const fd::side_guard& sink, const fd& from, const fd& to) noexcept
{
    progress p;
    const kernel_pipe through;
    // The sink must be known to take it: what it refuses would be lost. A source that does not says so at once.
    const int kind = sys::kind_of(to.number());
    const bool fit = kind == static_cast<int>(sys::file_kind::socket) || kind == static_cast<int>(sys::file_kind::pipe);
    if (!through.is_open() || !fit) {
        p.unfit = true;
        return p;
    }
    while (p.error == 0 && !p.at_end && !p.unfit) {
        const ssize_t got =
            source.until_done([&](int number) { return sys::splice_some(number, through.in(), chunk); });
        if (got == -EINVAL && p.count == 0) {
            p.unfit = true;
            return p;
        }
        if (got < 0)
            p.error = static_cast<int>(-got);
        else if (got == 0 && from.is_socket())
            p.unfit = true;  // its end, or the mark of urgent data, which read() goes on behind
        else if (got == 0)
            p.at_end = true;
        else
            p.error = drain(through, static_cast<std::size_t>(got), sink, p.count);
    }
    return p;
}

/// All of `bytes` into the sink: 0 or an errno. `count`: goes up by what it has taken.
int put_all(const fd::side_guard& sink, const fd& to, std::span<const std::byte> bytes, std::uint64_t& count) noexcept
{
    while (!bytes.empty()) {
        const ssize_t put = sink.until_done([&](int number) { return to.write_once(number, bytes); });
        if (put < 0)
            return static_cast<int>(-put);
        count += static_cast<std::uint64_t>(put);
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return 0;
}

void copy_by_buffer(const fd::side_guard& source, const fd::side_guard& sink, const fd& from, const fd& to,
                    progress& p) noexcept
{
    const std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[chunk]);
    if (buffer == nullptr)
        p.error = ENOMEM;
    while (p.error == 0) {
        const std::span whole(buffer.get(), chunk);
        const ssize_t got = source.until_done([&](int number) { return from.read_once(number, whole); });
        if (got == 0)
            return;
        if (got < 0) {
            p.error = static_cast<int>(-got);
            return;
        }
        p.error = put_all(sink, to, whole.first(static_cast<std::size_t>(got)), p.count);
    }
}

std::uint64_t copy_all(fd& from, fd& to, int& error) noexcept
{
    const fd::side_guard source(from, poll_side::read);
    const fd::side_guard sink(to, poll_side::write);
    error = source.error() != 0 ? source.error() : sink.error();
    if (error != 0)
        return 0;
    progress p = copy_in_kernel(source, sink, from, to);
    if (p.unfit)
        copy_by_buffer(source, sink, from, to, p);
    error = p.error;
    return p.count;
}

/// send_file_part() of what sendfile(2) does not take: files of /proc, say.
std::uint64_t send_file_by_buffer(const fd::side_guard& sink, const fd& to, int file, std::uint64_t offset,
                                  std::uint64_t count, int& error) noexcept
{
    const std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[chunk]);
    std::uint64_t done = 0;
    if (buffer == nullptr)
        error = ENOMEM;
    while (error == 0 && done < count) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(count - done, chunk));
        const ssize_t got = sys::read_at(file, buffer.get(), n, offset + done);
        if (got == 0)
            break;
        error = got < 0 ? static_cast<int>(-got)
                        : put_all(sink, to, std::span(buffer.get(), static_cast<std::size_t>(got)), done);
    }
    return done;
}

std::uint64_t send_file_part(fd& to, int file, std::uint64_t offset, std::uint64_t count, int& error) noexcept
{
    const fd::side_guard sink(to, poll_side::write);
    error = sink.error();
    auto at = static_cast<std::int64_t>(offset);
    std::uint64_t done = 0;
    while (error == 0 && done < count) {
        constexpr std::uint64_t most = std::uint64_t{1} << 30;  // bytes a call: the kernel's limit is 2^31
        const auto n = static_cast<std::size_t>(std::min(count - done, most));
        const ssize_t put = sink.until_done([&](int number) { return sys::sendfile_some(number, file, &at, n); });
        if (put == 0)
            break;
        if (put == -EINVAL && done == 0)
            return send_file_by_buffer(sink, to, file, offset, count, error);
        if (put < 0)
            error = static_cast<int>(-put);
        else
            done += static_cast<std::uint64_t>(put);
    }
    return done;
}

}  // namespace

std::uint64_t copy(stream& from, stream& to, std::error_code& ec) noexcept
{
    int error = EBADF;
    fd* const source = from.descriptor();
    fd* const sink = to.descriptor();
    const std::uint64_t n = source != nullptr && sink != nullptr ? copy_all(*source, *sink, error) : 0;
    set_error(ec, error);
    return n;
}

std::uint64_t send_file(stream& to, int file, std::uint64_t offset, std::uint64_t count, std::error_code& ec) noexcept
{
    int error = EBADF;
    fd* const sink = to.descriptor();
    const std::uint64_t n = sink != nullptr ? send_file_part(*sink, file, offset, count, error) : 0;
    set_error(ec, error);
    return n;
}

}  // namespace weft::io
