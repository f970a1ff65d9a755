// fd: an open descriptor that goroutines and threads share. docs/design/netpoll.md, "Closing".
//
// A call has a direction, or only uses the descriptor, for as long as it runs, waiting included. One reads and one
// writes at a time; others of the direction queue, first come, first served. close() wakes all of them; the number is
// given back to the kernel when the last call has ended, so none of them can meet another file under it.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "io/fd_word.hpp"
#include "rt/rt.hpp"
#include "sys/io.hpp"
#include "sys/socket.hpp"

namespace weft::io {

using rt::poll_side;

/// What a call has come to: how much, or an errno. Both: so much, and then the error.
struct outcome {
    std::size_t count = 0;
    int error = 0;
};

class fd {
public:
    enum class kind : std::uint8_t {
        file,    ///< a pipe, a terminal, an eventfd, ...
        socket,  ///< any socket
        tcp,     ///< a read that returns less than it was asked for has taken all there was
    };
    /// Takes `number` over, which is non-blocking. Null: no memory; `number` is then closed.
    [[nodiscard]] static std::unique_ptr<fd> take(int number, kind what) noexcept;
    fd(const fd&) = delete;
    fd& operator=(const fd&) = delete;
    /// Closes. No other call may begin any more; those that run are woken and waited for.
    ~fd();

    /// Wakes every call that waits, which then fails with ECANCELED, as do all later ones. Returns when all have ended
    /// and the number is the kernel's again. False: closed already.
    bool close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return word_.is_closed(); }

    [[nodiscard]] bool is_socket() const noexcept { return socket_; }
    /// For a listener, what it accepts.
    [[nodiscard]] kind what() const noexcept { return drains_ ? kind::tcp : socket_ ? kind::socket : kind::file; }

    /// The number, for calls between use() and its end, or while nobody can close.
    [[nodiscard]] int number() const noexcept { return number_; }

    // An error that came together with something to return, and is that of the next call. By the owner of the read
    // direction.
    void keep_error(int error) noexcept { kept_error_ = error; }
    [[nodiscard]] int take_kept_error() noexcept { return std::exchange(kept_error_, 0); }

    /// Unlinks the file when it is closed. Before others use it.
    void remove_at_close(sys::named_file file) { path_ = std::make_unique<const sys::named_file>(std::move(file)); }

    /// Absolute, in ns of weft::clock; rt::never: none. Goes for calls that wait as well.
    void set_deadline(poll_side s, std::int64_t when) noexcept;

    /// `attempt()` with the number usable: its result; -ECANCELED when closed.
    template <class Attempt>
    auto with_number(Attempt&& attempt) noexcept
    {
        if (!word_.use())
            return static_cast<decltype(attempt(0))>(-ECANCELED);
        const auto result = attempt(number_);
        if (word_.end_use())
            release();
        return result;
    }

    /// One write(2), without the direction: a count or a negative errno. Also in a signal handler, whatever it has
    /// interrupted.
    [[nodiscard]] ssize_t write_at_once(std::span<const std::byte> from) noexcept;

    /// Has a direction of `f` for a scope.
    class side_guard {
    public:
        side_guard(fd& f, poll_side s) noexcept : fd_(f), side_(s), error_(f.begin(s))
        {
            if (error_ == 0 && s == poll_side::read)
                f.drained_ = false;
        }
        side_guard(const side_guard&) = delete;
        side_guard& operator=(const side_guard&) = delete;
        ~side_guard()
        {
            if (error_ == 0 || error_ == ETIMEDOUT)
                fd_.end(side_);
        }
        /// 0; ETIMEDOUT: the deadline has passed; ECANCELED: closed; ENOMEM.
        [[nodiscard]] int error() const noexcept { return error_; }

        /// `attempt(number)`, which returns a count or a negative errno, until it does not say EAGAIN; waits in
        /// between. A count, or a negative errno.
        template <class Attempt>
        ssize_t until_done(Attempt&& attempt) const noexcept
        {
            return fd_.until_done(side_, attempt);
        }
        /// Parks until something may have happened: 0 or an errno.
        [[nodiscard]] int wait() const noexcept { return rt::poll_wait(*fd_.desc_, side_); }
        /// The same, for `time` ns at most: 0 too when they are over.
        [[nodiscard]] int wait_for(std::int64_t time) const noexcept
        {
            return rt::poll_wait_for(*fd_.desc_, side_, time);
        }
        /// Forgets what has happened: the caller is about to look.
        void look() const noexcept { fd_.desc_->look(side_); }
        /// Sleeps for `time` ns, unless the deadline passes or close() comes first: 0 or that errno.
        [[nodiscard]] int pause(std::int64_t time) const noexcept { return rt::poll_pause(*fd_.desc_, side_, time); }

    private:
        fd& fd_;
        const poll_side side_;
        const int error_;
    };

    /// Reads what is there; 0: the end. Waits until there is something.
    [[nodiscard]] WEFT_ALWAYS_INLINE outcome read(std::span<std::byte> to) noexcept
    {
        if (const int error = begin(poll_side::read); error != 0) [[unlikely]]
            return refuse(poll_side::read, error);
        ssize_t n = 0;
        // Where the last read has taken all, and nothing has come since: that saves asking the kernel to be told so.
        if (std::exchange(drained_, false) && !desc_->may_have_more(poll_side::read)) [[likely]]
            n = -rt::poll_wait(*desc_, poll_side::read);
        if (n == 0) [[likely]] {
            desc_->look(poll_side::read);
            n = try_read(number_, to);
        }
        if (n < 0) [[unlikely]]
            n = read_on(to, n);
        drained_ = drains_ && n > 0 && static_cast<std::size_t>(n) < to.size();
        end(poll_side::read);
        return n >= 0 ? outcome{static_cast<std::size_t>(n), 0} : outcome{0, static_cast<int>(-n)};
    }
    /// Everything, waiting as needed.
    [[nodiscard]] WEFT_ALWAYS_INLINE outcome write_all(std::span<const std::byte> from) noexcept
    {
        if (const int error = begin(poll_side::write); error != 0) [[unlikely]]
            return refuse(poll_side::write, error);
        desc_->look(poll_side::write);
        outcome o{from.size(), 0};
        if (const ssize_t n = try_write(number_, from); static_cast<std::size_t>(n) != from.size()) [[unlikely]]
            o = write_on(from, n);
        end(poll_side::write);
        return o;
    }
    [[nodiscard]] outcome write_all(std::span<const std::span<const std::byte>> parts) noexcept;

    /// One read(2) or recv(2); a count or a negative errno.
    [[nodiscard]] ssize_t read_once(int number, std::span<std::byte> to) const noexcept;
    /// One write(2) or send(2).
    [[nodiscard]] ssize_t write_once(int number, std::span<const std::byte> from) const noexcept;

private:
    friend class side_guard;
    fd(int number, rt::poll_desc& desc, kind what) noexcept
        : desc_(&desc), number_(number), socket_(what != kind::file), drains_(what == kind::tcp)
    {
    }
    [[nodiscard]] WEFT_ALWAYS_INLINE int begin(poll_side s) noexcept
    {
        if (!word_.try_begin(static_cast<unsigned>(s))) [[unlikely]]
            if (const int error = begin_slow(s); error != 0)
                return error;
        return rt::poll_deadline_passed(*desc_, s) ? ETIMEDOUT : 0;
    }
    WEFT_ALWAYS_INLINE void end(poll_side s) noexcept
    {
        if (!word_.try_end(static_cast<unsigned>(s))) [[unlikely]]
            end_slow(s);
    }
    /// Precondition: the direction is the caller's.
    template <class Attempt>
    ssize_t until_done(poll_side s, Attempt& attempt) noexcept
    {
        for (;;) {
            desc_->look(s);
            const ssize_t n = attempt(number_);
            if (n != -EAGAIN)
                return n;
            if (const int error = rt::poll_wait(*desc_, s); error != 0)
                return -error;
        }
    }
    [[nodiscard]] int begin_slow(poll_side s) noexcept;
    void end_slow(poll_side s) noexcept;
    /// After begin() has said `error`.
    [[nodiscard]] outcome refuse(poll_side s, int error) noexcept;
    // After the first attempt of a call, or a wait before it, which has said `n`.
    /// 0: there is to be another attempt; else that is the end of it.
    [[nodiscard]] ssize_t after_attempt(poll_side s, ssize_t n) noexcept;
    [[nodiscard]] ssize_t read_on(std::span<std::byte> to, ssize_t n) noexcept;
    [[nodiscard]] outcome write_on(std::span<const std::byte> from, ssize_t n) noexcept;
    // The system calls, which may also say EINTR, and EFAULT where memory is missing: then nothing was done.
    [[nodiscard]] WEFT_ALWAYS_INLINE ssize_t try_read(int number, std::span<std::byte> to) const noexcept
    {
        if (socket_) [[likely]]
            return sys::recv_some(number, to.data(), to.size());
        return read_file(number, to);
    }
    /// Of some (eventfd, terminals) what was read is gone when it says EFAULT: memory must not be missing.
    [[nodiscard]] static ssize_t read_file(int number, std::span<std::byte> to) noexcept;
    [[nodiscard]] WEFT_ALWAYS_INLINE ssize_t try_write(int number, std::span<const std::byte> from) const noexcept
    {
        if (socket_) [[likely]]
            return sys::send_some(number, from.data(), from.size());
        return sys::write_some(number, from.data(), from.size());
    }
    void send_away(unsigned side) noexcept;
    void release() noexcept;
    [[nodiscard]] ssize_t write_once(int number, iovec* vectors, std::size_t n) const noexcept;
    [[nodiscard]] const void* key(unsigned side) const noexcept { return reinterpret_cast<const char*>(&word_) + side; }

    fd_word word_;
    rt::poll_desc* desc_;  ///< until release()
    int number_;
    int kept_error_ = 0;
    std::unique_ptr<const sys::named_file> path_;
    const bool socket_;
    const bool drains_;
    bool drained_ = false;                     ///< by who reads; its last call was read_with() and took all
    base::atomic<std::uint32_t> released_{0};  ///< 1: the number is the kernel's again
    base::atomic<std::uint32_t> at_once_{0};   ///< calls of write_at_once() that may use the number
};

}  // namespace weft::io
