// socket_set: sockets of a resolver's, which one goroutine waits for together. What weft::dns needs of the core, and
// exported for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

#include "io/canceler.hpp"
#include "io/fd.hpp"
#include "weft/context.hpp"

namespace weft::net {

/// The sockets are in an epoll of their own, which is the one descriptor that the goroutine waits for: an epoll is
/// readable when one of its own is. For one goroutine or thread.
class socket_set {
public:
    struct ready_socket {
        int number = -1;
        bool readable = false;
        bool writable = false;
    };

    /// `ctx` ends every wait.
    WEFT_API explicit socket_set(const context& ctx) noexcept;
    socket_set(const socket_set&) = delete;
    socket_set& operator=(const socket_set&) = delete;
    WEFT_API ~socket_set();

    /// Why there is no set; nothing else may be called then.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

    /// From now on for this; neither: no longer.
    WEFT_API void watch(int socket, bool readable, bool writable) noexcept;

    /// Parks until a socket is ready, for `time` ns at most. `count`: how many are in `out` now; 0 when the time is
    /// over.
    [[nodiscard]] WEFT_API std::error_code wait(std::int64_t time, std::span<ready_socket> out,
                                                std::size_t& count) noexcept;

private:
    [[nodiscard]] std::size_t look(std::span<ready_socket> out) const noexcept;

    const context& ctx_;
    std::error_code error_{};
    std::unique_ptr<io::fd> poller_{};
    std::optional<io::canceler> canceler_{};
};

}  // namespace weft::net
