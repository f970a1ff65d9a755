// The only thread-locals of the library. Their accessors are never inlined and opaque to the optimiser, because code
// that runs on a goroutine may find itself on another thread after any switch; a cached address would be that of the
// old thread's copy.
#include "rt/tls.hpp"

#include "rt/local.hpp"
#include "rt/m.hpp"
#include "rt/sched.hpp"

namespace weft::rt {

constinit thread_local m* current_m = nullptr;

namespace {

/// Gives the stand-in back when its thread ends. It stays valid memory: a late waker may still look at it.
struct thread_stand_in {
    g* item = nullptr;
    thread_stand_in() = default;
    thread_stand_in(const thread_stand_in&) = delete;
    thread_stand_in& operator=(const thread_stand_in&) = delete;
    ~thread_stand_in()
    {
        if (item == nullptr)
            return;
        if (item->extra != nullptr) {
            end_locals(*item);
            drop_extra(item);
        }
        item->flags = 0;
        item->move_to(g_state::running, g_state::dead);
        give_global_g(item);
    }
};
thread_local thread_stand_in stand_in;
constinit thread_local std::uintptr_t fault_word = 0;

}  // namespace

__attribute__((noinline)) m* this_m() noexcept
{
    m* const self = current_m;
    asm volatile("" ::: "memory");
    return self;
}

void set_this_m(m* self) noexcept
{
    current_m = self;
}

__attribute__((noinline)) g* this_thread_g() noexcept
{
    if (stand_in.item == nullptr) {
        stand_in.item = take_global_g();
        if (stand_in.item != nullptr) {
            stand_in.item->flags = g::a_thread;
            stand_in.item->id = 0;
            stand_in.item->state.store(g_state::running, base::memory_order_relaxed);
        }
    }
    g* const item = stand_in.item;
    asm volatile("" ::: "memory");
    return item;
}

__attribute__((noinline)) std::uintptr_t* this_thread_fault_word() noexcept
{
    std::uintptr_t* const word = &fault_word;
    asm volatile("" ::: "memory");
    return word;
}

__attribute__((noinline)) const void* this_thread_key() noexcept
{
    const void* const key = &current_m;
    asm volatile("" ::: "memory");
    return key;
}

}  // namespace weft::rt
