#include "rt/report/stack_walk.hpp"

#include "rt/sched/hidden_frames.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/stack/stack.hpp"

namespace weft::rt {

namespace {

using noted_frames = std::array<sys::stack_frame, goroutine_stack::most + 8>;

/// `frames` without the innermost ones that a parked goroutine has in any case, and without the outermost ones.
void keep(std::span<const sys::stack_frame> frames, sys::walk_end end, goroutine_stack& out) noexcept
{
    while (!frames.empty() && is_hidden_frame(frames.front().function))
        frames = frames.subspan(1);
    if (end == sys::walk_end::complete && !frames.empty())
        frames = frames.first(frames.size() - 1);  // the first frame of every stack
    while (!frames.empty() && is_hidden_frame(frames.back().function))
        frames = frames.first(frames.size() - 1);
    if (frames.size() > goroutine_stack::most) {
        frames = frames.first(goroutine_stack::most);
        end = sys::walk_end::full;
    }
    out.count = frames.size();
    out.end = end;
    for (std::size_t i = 0; i < frames.size(); ++i)
        out.pcs[i] = frames[i].pc;
}

}  // namespace

sys::stack_piece stack_place::piece() const noexcept
{
    const char* const low = top - usable_stack_bytes(stack_class);
    return sys::stack_piece::in_place(low, top);
}

namespace {

struct saved_walk {
    const sys::context& saved;
    goroutine_stack& out;
    sys::row_cache* cache;

    void in(sys::stack_piece piece) const noexcept
    {
        const auto sp = reinterpret_cast<std::uintptr_t>(saved.sp);
        if (sp < piece.low || sp >= piece.high)
            return;
        piece.bytes += sp - piece.low;  // what lies below may never have been touched, and need not be now
        piece.low = sp;
        noted_frames noted;
        const sys::walked w = sys::walk_stack(sys::registers_of(saved), {&piece, 1}, noted, cache);
        keep(std::span(noted).first(w.count), w.end, out);
    }
};

}  // namespace

void walk_saved(const sys::context& saved, const stack_place& at, goroutine_stack& out, sys::row_cache* cache) noexcept
{
    out.count = 0;
    out.end = sys::walk_end::lost;
    saved_walk walk{saved, out, cache};
    // A hibernated stack is read where it is kept: in place it would be put back, and so many are looked at.
    const auto look = [](const sys::stack_piece& copy, void* argument) noexcept
    { static_cast<const saved_walk*>(argument)->in(copy); };
    if (!with_hibernated(at.top, look, &walk))
        walk.in(at.piece());
}

void walk_running(const sys::register_set& from, const stack_place& at, goroutine_stack& out,
                  const void* outside_of) noexcept
{
    const sys::stack_piece piece = at.piece();
    out.count = 0;
    out.end = sys::walk_end::lost;
    if (from.sp() < piece.low || from.sp() >= piece.high)
        return;
    noted_frames noted;
    const sys::walked w = sys::walk_stack(from, {&piece, 1}, noted);
    std::span<const sys::stack_frame> frames = std::span(noted).first(w.count);
    for (std::size_t i = 0; outside_of != nullptr && i < frames.size(); ++i) {
        if (frames[i].function == outside_of) {
            frames = frames.subspan(i + 1);
            break;
        }
    }
    keep(frames, w.end, out);
}

void walk_faulted(const void* ucontext, const stack_place& at, goroutine_stack& out) noexcept
{
    const sys::stack_piece piece = at.piece();
    sys::register_set from = sys::registers_of_signal(ucontext);
    noted_frames noted;
    std::size_t before = 0;
    sys::walked w = sys::walk_stack(from, {&piece, 1}, noted);
    if (w.count == 1 && noted[0].function == nullptr && sys::undo_call(from, piece)) {
        before = 1;
        w = sys::walk_stack(from, {&piece, 1}, std::span(noted).subspan(before));
    }
    keep(std::span(noted).first(before + w.count), w.end, out);
}

namespace {

/// Frames that come again and again, as in a recursion.
struct repetition {
    std::size_t period = 1;
    std::size_t times = 1;
};

/// The one that `pcs` begins with.
repetition repeated(std::span<const void* const> pcs) noexcept
{
    constexpr std::size_t longest = 8;  // frames
    repetition best;
    for (std::size_t period = 1; period <= longest && 2 * period <= pcs.size(); ++period) {
        std::size_t alike = 0;
        while (period + alike < pcs.size() && pcs[alike] == pcs[period + alike])
            ++alike;
        const std::size_t times = alike / period + 1;
        if (times * period > best.times * best.period && times > 1)
            best = {period, times};
    }
    return best;
}

}  // namespace

void print_stack(base::printer& out, std::span<const void* const> pcs, sys::walk_end end, sys::naming names) noexcept
{
    if (pcs.empty()) {
        out.print("  stack: unknown\n");
        return;
    }
    out.print("  stack:\n");
    constexpr std::size_t worth_it = 3;
    unsigned number = 0;
    while (!pcs.empty()) {
        const repetition r = repeated(pcs);
        const bool collapse = names == sys::naming::plain && r.times >= worth_it;  // in reports of faults
        for (const void* pc : pcs.first(collapse ? r.period : 1))
            number += sys::print_frame(out, number, pc, names) ? 1U : 0U;
        if (collapse && r.period == 1)
            out.print("        and the same %zu times more\n", r.times - 1);
        else if (collapse)
            out.print("        and these %zu the same %zu times more\n", r.period, r.times - 1);
        pcs = pcs.subspan(collapse ? r.period * r.times : 1);
    }
    if (end == sys::walk_end::full)
        out.print("    and more\n");
    else if (end == sys::walk_end::lost)
        out.print("    (the frames beyond this one were not found)\n");
    if (names == sys::naming::full)
        sys::print_hint(out);
}

}  // namespace weft::rt
