// Counts the mutexes of the system that each thread holds, for WEFT_DEBUG=locks: stands before the functions of the C
// library, wherever this library is linked or preloaded. std::mutex and std::shared_mutex are made of these.
//
// The count belongs to the thread that locks. A goroutine that parks with a lock held and unlocks on another thread
// makes both counts wrong, so the core takes a thread's count at each park, which is when it reports, and an unlock
// without a lock counts nothing.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/symbolise.hpp"

namespace {

thread_local unsigned held __attribute__((tls_model("initial-exec"))) = 0;

int counted(int result) noexcept
{
    if (result == 0 || result == EOWNERDEAD)
        ++held;
    return result;
}
int uncounted(int result) noexcept
{
    if (result == 0 && held > 0)
        --held;
    return result;
}

/// The C library's function of that name. Looked up at each first use, by whoever comes first, or several.
template <class F>
class original {
public:
    explicit constexpr original(const char* name) noexcept : name_(name) {}
    F* get() noexcept
    {
        F* found = found_.load(weft::base::memory_order_relaxed);
        if (found == nullptr) {
            found = reinterpret_cast<F*>(dlsym(RTLD_NEXT, name_));
            found_.store(found, weft::base::memory_order_relaxed);
        }
        return found;
    }

private:
    const char* name_;
    weft::base::atomic<F*> found_{nullptr};
};

using mutex_fn = int(pthread_mutex_t*);
using timed_mutex_fn = int(pthread_mutex_t*, const timespec*);
using clock_mutex_fn = int(pthread_mutex_t*, clockid_t, const timespec*);
using rwlock_fn = int(pthread_rwlock_t*);
using timed_rwlock_fn = int(pthread_rwlock_t*, const timespec*);
using clock_rwlock_fn = int(pthread_rwlock_t*, clockid_t, const timespec*);

constinit original<mutex_fn> mutex_lock("pthread_mutex_lock");
constinit original<mutex_fn> mutex_trylock("pthread_mutex_trylock");
constinit original<timed_mutex_fn> mutex_timedlock("pthread_mutex_timedlock");
constinit original<clock_mutex_fn> mutex_clocklock("pthread_mutex_clocklock");
constinit original<mutex_fn> mutex_unlock("pthread_mutex_unlock");
constinit original<rwlock_fn> rwlock_rdlock("pthread_rwlock_rdlock");
constinit original<rwlock_fn> rwlock_wrlock("pthread_rwlock_wrlock");
constinit original<rwlock_fn> rwlock_tryrdlock("pthread_rwlock_tryrdlock");
constinit original<rwlock_fn> rwlock_trywrlock("pthread_rwlock_trywrlock");
constinit original<timed_rwlock_fn> rwlock_timedrdlock("pthread_rwlock_timedrdlock");
constinit original<timed_rwlock_fn> rwlock_timedwrlock("pthread_rwlock_timedwrlock");
constinit original<clock_rwlock_fn> rwlock_clockrdlock("pthread_rwlock_clockrdlock");
constinit original<clock_rwlock_fn> rwlock_clockwrlock("pthread_rwlock_clockwrlock");
constinit original<rwlock_fn> rwlock_unlock("pthread_rwlock_unlock");

}  // namespace

extern "C" {

WEFT_API unsigned weft_debug_take_locks()
{
    const unsigned n = held;
    held = 0;
    return n;
}

WEFT_API int pthread_mutex_lock(pthread_mutex_t* m) noexcept
{
    return counted(mutex_lock.get()(m));
}
WEFT_API int pthread_mutex_trylock(pthread_mutex_t* m) noexcept
{
    return counted(mutex_trylock.get()(m));
}
WEFT_API int pthread_mutex_timedlock(pthread_mutex_t* m, const timespec* until) noexcept
{
    return counted(mutex_timedlock.get()(m, until));
}
WEFT_API int pthread_mutex_clocklock(pthread_mutex_t* m, clockid_t clock, const timespec* until) noexcept
{
    return counted(mutex_clocklock.get()(m, clock, until));
}
WEFT_API int pthread_mutex_unlock(pthread_mutex_t* m) noexcept
{
    return uncounted(mutex_unlock.get()(m));
}
WEFT_API int pthread_rwlock_rdlock(pthread_rwlock_t* l) noexcept
{
    return counted(rwlock_rdlock.get()(l));
}
WEFT_API int pthread_rwlock_wrlock(pthread_rwlock_t* l) noexcept
{
    return counted(rwlock_wrlock.get()(l));
}
WEFT_API int pthread_rwlock_tryrdlock(pthread_rwlock_t* l) noexcept
{
    return counted(rwlock_tryrdlock.get()(l));
}
WEFT_API int pthread_rwlock_trywrlock(pthread_rwlock_t* l) noexcept
{
    return counted(rwlock_trywrlock.get()(l));
}
WEFT_API int pthread_rwlock_timedrdlock(pthread_rwlock_t* l, const timespec* until) noexcept
{
    return counted(rwlock_timedrdlock.get()(l, until));
}
WEFT_API int pthread_rwlock_timedwrlock(pthread_rwlock_t* l, const timespec* until) noexcept
{
    return counted(rwlock_timedwrlock.get()(l, until));
}
WEFT_API int pthread_rwlock_clockrdlock(pthread_rwlock_t* l, clockid_t clock, const timespec* until) noexcept
{
    return counted(rwlock_clockrdlock.get()(l, clock, until));
}
WEFT_API int pthread_rwlock_clockwrlock(pthread_rwlock_t* l, clockid_t clock, const timespec* until) noexcept
{
    return counted(rwlock_clockwrlock.get()(l, clock, until));
}
WEFT_API int pthread_rwlock_unlock(pthread_rwlock_t* l) noexcept
{
    return uncounted(rwlock_unlock.get()(l));
}
}
