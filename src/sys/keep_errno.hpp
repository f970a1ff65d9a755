// keep_errno: for what must leave no trace in errno, as all that happens behind a goroutine's back.
#pragma once

#include <cerrno>

namespace weft::sys {

/// Puts the calling thread's errno back at the end of its scope. For functions that are not inlined into what may go on
/// on another thread: there the compiler may take the place of the first one's errno for that of both.
class keep_errno {
public:
    keep_errno() noexcept : kept_(errno) {}
    ~keep_errno() { errno = kept_; }
    keep_errno(const keep_errno&) = delete;
    keep_errno& operator=(const keep_errno&) = delete;

private:
    int kept_;
};

}  // namespace weft::sys
