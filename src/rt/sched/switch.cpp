#include "rt/sched/switch.hpp"

#include "base/check.hpp"
#include "rt/sched/finish.hpp"
#include "rt/sched/hidden_frames.hpp"

namespace weft::rt {

/// Gives a goroutine that is to run for the first time its stack.
WEFT_NOINLINE void give_stack_to(p& proc, g* item) noexcept
{
    char* const top = item->stack_class == default_stack_class ? proc.stacks.take() : take_stack(item->stack_class);
    if (top == nullptr)
        base::fatal("goroutine %llu can't get a stack of %zu KiB: %s", static_cast<unsigned long long>(item->id),
                    stack_bytes(item->stack_class) / 1024, stack_shortage());
    item->stack_top = top;
    item->flags &= static_cast<std::uint8_t>(~g::no_stack);
    item->fiber = sys::new_fiber();
    sys::make_context(item->ctx, first_frame(top, item->stack_class), &goroutine_main);
}

/// The same inside a catch block or while unwinding.
WEFT_NOINLINE m* switch_in_exception(m* self, sys::context* from, g* next) noexcept
{
    const sys::exception_globals kept = *self->exceptions;
    *self->exceptions = {};
    self = switch_plain(self, from, next);
    *self->exceptions = kept;
    return self;
}
WEFT_HIDDEN_FRAME(switch_in_exception);

/// `self` is for `who` alone; null: for anybody.
void set_locked(m& self, g* who) noexcept
{
    self.locked = who;
    self.detour = static_cast<std::uint8_t>((self.detour & m::observed) | (who != nullptr ? m::has_locked : 0));
}

}  // namespace weft::rt
