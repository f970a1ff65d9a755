// The only thread-locals of the library. Their accessors are never inlined and opaque to the optimiser, because code
// that runs on a goroutine may find itself on another thread after any switch; a cached address would be that of the
// old thread's copy.
#include "rt/core/thread_local.hpp"

#include "rt/core/g.hpp"
#include "rt/core/local.hpp"
#include "rt/core/m.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

constinit thread_local m* current_m = nullptr;

namespace {

constinit thread_local g* stand_in = nullptr;
constinit thread_local std::uintptr_t fault_word = 0;

/// When the thread ends. The stand-in stays valid memory: a late waker may still look at it. Destructors that run
/// later, of the thread's other thread-locals, or of statics in the main thread, get another one.
void give_stand_in_back(void*) noexcept
{
    g* const item = stand_in;
    if (item->extra != nullptr) {
        end_locals(*item);
        drop_extra(item);
    }
    stand_in = nullptr;
    item->flags = 0;
    item->move_to(g_state::running, g_state::dead);
    give_global_g(item);
}

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
    if (stand_in == nullptr) {
        stand_in = take_global_g();
        if (stand_in != nullptr) {
            stand_in->flags = g::a_thread;
            stand_in->id = 0;
            stand_in->state.store(g_state::running, base::memory_order_relaxed);
            sys::at_thread_end(&give_stand_in_back);
        }
    }
    g* const item = stand_in;
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
