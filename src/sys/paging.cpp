#include "sys/paging.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/cpu.hpp"
#include "sys/memory.hpp"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1  // Linux 5.11, <linux/userfaultfd.h>
#endif

namespace weft::sys {

namespace {

refill in_use = refill::none;
const char* refusal = "it has not been tried";
int userfault_fd = -1;
int memory_fd = -1;

bool open_userfault() noexcept
{
    const long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (fd < 0)
        return false;
    uffdio_api api = {};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
    if (ioctl(static_cast<int>(fd), UFFDIO_API, &api) != 0) {
        close(static_cast<int>(fd));
        return false;
    }
    userfault_fd = static_cast<int>(fd);
    return true;
}

bool open_memory() noexcept
{
    memory_fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    return memory_fd >= 0;
}

void close_all() noexcept
{
    if (userfault_fd >= 0)
        close(userfault_fd);
    if (memory_fd >= 0)
        close(memory_fd);
    userfault_fd = memory_fd = -1;
}

int copy_by_userfault(void* at, const void* from, std::size_t bytes) noexcept
{
    std::size_t done = 0;
    while (done < bytes) {
        uffdio_copy copy = {};
        copy.dst = reinterpret_cast<std::uintptr_t>(at) + done;
        copy.src = reinterpret_cast<std::uintptr_t>(from) + done;
        copy.len = bytes - done;
        copy.mode = UFFDIO_COPY_MODE_DONTWAKE;
        if (ioctl(userfault_fd, UFFDIO_COPY, &copy) == 0)
            return 0;
        const int error = errno;
        if (copy.copy > 0)
            done += static_cast<std::size_t>(copy.copy);
        else if (error == EEXIST)  // put back by a former call that failed later
            done += base::page_size;
        else if (error != EAGAIN && error != EINTR)  // EAGAIN: another thread was changing mappings
            return error;
    }
    return 0;
}

int write_to_memory(void* at, const void* from, std::size_t bytes) noexcept
{
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t n = pwrite(memory_fd, static_cast<const char*>(from) + done, bytes - done,
                                 static_cast<off_t>(reinterpret_cast<std::uintptr_t>(at) + done));
        if (n > 0)
            done += static_cast<std::size_t>(n);
        else if (n == 0)
            return EFAULT;
        else if (errno != EINTR)
            return errno == EIO ? ENOMEM : errno;  // what a page that can't be had comes out as
    }
    return 0;
}

/// Whether `how` does on two pages what it is wanted for.
bool works(refill how) noexcept
{
    constexpr std::size_t page = base::page_size;
    auto* const at = static_cast<char*>(reserve(2 * page, page, pages::small, "weft probe"));
    if (at == nullptr)
        return false;
    in_use = how;
    std::array<char, page> image;
    image.fill('w');
    bool good = allow_paging(at, 2 * page);
    at[0] = at[page] = 1;
    good = good && guard(at, page) && put_back(at, image.data(), page) == 0 && at[0] == 'w' && at[page - 1] == 'w' &&
           at[page] == 1;
    good = good && set_access(at, 2 * page, access::none) && put_below(at, image.data(), page) == 0 &&
           set_access(at, 2 * page, access::all) && at[0] == 'w' && at[page] == 1;
    release(at, 2 * page);
    if (!good)
        in_use = refill::none;
    return good;
}

}  // namespace

refill init_paging(bool forbid_userfault, bool forbid_memory_file) noexcept
{
    close_all();
    in_use = refill::none;
    if (!guards_are_markers()) {
        refusal = "this kernel has no guard markers (MADV_GUARD_INSTALL, Linux 6.13 and later)";
        return in_use;
    }
    if (!forbid_userfault && open_userfault() && works(refill::userfault))
        return in_use;
    if (!forbid_memory_file && open_memory() && works(refill::memory_file))
        return in_use;
    close_all();
    refusal = "neither userfaultfd(2) nor writing to /proc/self/mem is allowed here (seccomp? vm.* settings?)";
    return in_use;
}

refill refill_in_use() noexcept
{
    return in_use;
}

const char* refill_refusal() noexcept
{
    return refusal;
}

void restart_paging_in_child() noexcept
{
    if (in_use == refill::none)
        return;
    close_all();
    in_use = open_memory() ? refill::memory_file : refill::none;
    refusal = "the child of a fork() can't open /proc/self/mem";
}

bool allow_paging(void* at, std::size_t bytes) noexcept
{
    if (in_use != refill::userfault)
        return in_use == refill::memory_file;
    uffdio_register range = {};
    range.range.start = reinterpret_cast<std::uintptr_t>(at);
    range.range.len = bytes;
    range.mode = UFFDIO_REGISTER_MODE_WP;
    return ioctl(userfault_fd, UFFDIO_REGISTER, &range) == 0;
}

bool set_access(void* at, std::size_t bytes, access what) noexcept
{
    const int bits = what == access::none ? PROT_NONE : what == access::read ? PROT_READ : PROT_READ | PROT_WRITE;
    return mprotect(at, bytes, bits) == 0;
}

int put_back(void* at, const void* from, std::size_t bytes) noexcept
{
    if (in_use == refill::userfault)
        return copy_by_userfault(at, from, bytes);
    // Without access while the page is absent: a read would find zeros, and a write be overwritten.
    if (!set_access(at, bytes, access::none))
        return errno;
    if (!unguard(at, bytes))
        return errno;
    if (const int error = write_to_memory(at, from, bytes); error != 0) {
        const bool marked = guard(at, bytes);
        return marked && set_access(at, bytes, access::all) ? error : EFAULT;
    }
    return set_access(at, bytes, access::all) ? 0 : errno;
}

int put_below(void* at, const void* from, std::size_t bytes) noexcept
{
    return in_use == refill::userfault ? copy_by_userfault(at, from, bytes) : write_to_memory(at, from, bytes);
}

}  // namespace weft::sys
