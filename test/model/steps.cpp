// What a program calls: each a step of the thread that runs, and the free functions by which it is called.
#include "model/explorer.hpp"
#include "sys/membarrier.hpp"

namespace weft::model {
namespace detail {

void explorer::construct(const void* v, word first, variable_kind kind)
{
    memory_.construct(v, first, kind, current_);
}

void explorer::destroy(const void* v)
{
    if (stage_ == stage::outside)
        return;  // the whole program goes
    if (const std::uint32_t s = memory_.locate(v, 0); memory_.at(s).kind == variable_kind::plain)
        overwrite(v, 0, place::current());
    memory_.destroy(v, current_);
}

void explorer::check_alive(std::uint32_t s, const place& at)
{
    if (!memory_.at(s).alive)
        fail_here("use of a destroyed variable", at);
}

/// A load by a predicate.
word explorer::peek(std::uint32_t s, memory_order order, const place& at)
{
    check_alive(s, at);
    model_thread& t = of(peeking_);
    const word value = memory_.view(peeking_, s);
    t.looked_at |= bit(s);
    if (acquires(order))
        t.looked_at_acquiring |= bit(s);
    t.found = mix(t.found ^ value);
    return value;
}

word explorer::load(const void* v, word first, memory_order order, const place& at)
{
    const std::uint32_t s = memory_.locate(v, first);
    if (peeking_ != nobody)
        return peek(s, order, at);
    if (current_ == nobody)
        return memory_.at(s).value;
    take_step({.kind = step::load, .slot = s, .order = order, .at = at});
    check_alive(s, at);
    const word value = memory_.load(current_, s, order);
    if (tracing_)
        note(current_,
             slot_name(s) + " is " + value_text(value) +
                 (memory_.forwards(current_, s) ? "  (own store, buffered)" : ""),
             &at);
    memory_.end_step(current_);
    return value;
}

void explorer::store(const void* v, word first, word value, memory_order order, const place& at)
{
    const std::uint32_t s = memory_.locate(v, first);
    if (current_ == nobody) {
        memory_.set(s, value);
        return;
    }
    take_step({.kind = step::store, .slot = s, .order = order, .at = at});
    check_alive(s, at);
    const bool buffers = memory_.buffers(order);
    if (!buffers)
        drain_all(current_);
    memory_.store(current_, s, value, order);
    if (tracing_)
        note(current_, slot_name(s) + " = " + value_text(value) + (buffers ? "  (buffered)" : ""), &at);
    memory_.end_step(current_);
}

word explorer::rmw_begin(const void* v, word first, step kind, const place& at)
{
    const operation self{.kind = kind, .slot = memory_.locate(v, first), .at = at};
    if (current_ != nobody) {
        take_step(self);
        check_alive(self.slot, at);
        drain_all(current_);
        memory_.observe(current_, memory_.at(self.slot).value);
        // Whoever has got a lock may look at what it guards.
        if (kind == step::acquire && program_.fingerprint != nullptr)
            memory_.observe(current_, program_.fingerprint(program_.storage));
    }
    rmw_ = self;
    rmw_value_ = memory_.at(self.slot).value;
    return rmw_value_;
}

void explorer::rmw_write(word value, memory_order order)
{
    if (current_ == nobody) {
        memory_.set(rmw_.slot, value);
        return;
    }
    memory_.modify(current_, rmw_.slot, value, order);
    if (tracing_)
        note(current_, slot_name(rmw_.slot) + ": " + value_text(rmw_value_) + " -> " + value_text(value), &rmw_.at);
    memory_.end_step(current_);
}

void explorer::rmw_leave(memory_order order)
{
    if (current_ == nobody)
        return;
    memory_.order_after(current_, rmw_.slot, order);
    if (tracing_)
        note(current_, slot_name(rmw_.slot) + " is " + value_text(rmw_value_) + ": left so", &rmw_.at);
    memory_.end_step(current_);
}

word explorer::read(const void* v, const place& at)
{
    const std::uint32_t s = memory_.locate(v);
    if (peeking_ != nobody) {
        if (memory_.at(s).kind == variable_kind::plain)
            misuse("a predicate reads plain data");
        of(peeking_).found = mix(of(peeking_).found ^ memory_.at(s).value);
    } else if (current_ != nobody) {
        check_alive(s, at);
        if (const int other = memory_.read(current_, s); other != nobody)
            fail_here("data race: " + slot_name(s) + " is read, and the write by " + thread_name(other) +
                          " is not ordered before",
                      at);
        if (tracing_ && memory_.at(s).kind == variable_kind::plain)
            note(current_, "  reads " + slot_name(s) + ", " + value_text(memory_.at(s).value), &at);
    }
    return memory_.at(s).value;
}

void explorer::overwrite(const void* v, word value, const place& at)
{
    const std::uint32_t s = memory_.locate(v);
    if (peeking_ != nobody)
        misuse("a predicate writes");
    if (current_ == nobody) {
        memory_.set(s, value);
        return;
    }
    check_alive(s, at);
    if (const int other = memory_.overwrite(current_, s, value); other != nobody)
        fail_here("data race: " + slot_name(s) + " is written, and an access by " + thread_name(other) +
                      " is not ordered before",
                  at);
    if (tracing_ && memory_.at(s).kind == variable_kind::plain)
        note(current_, "  writes " + slot_name(s) + ", " + value_text(value), &at);
}

void explorer::fence(memory_order order, const place& at)
{
    if (current_ == nobody)
        return;
    take_step({.kind = step::fence, .order = order, .at = at});
    if (order == std::memory_order_seq_cst)
        drain_all(current_);
    memory_.fence(current_, order);
    note(current_, "fence", &at);
    memory_.end_step(current_);
}

void explorer::light_fence()
{
    if (!how_.membarrier)
        fence(std::memory_order_seq_cst, place::current());
}

void explorer::heavy_fence()
{
    if (current_ == nobody || how_.omit_heavy_barrier)
        return;
    if (!how_.membarrier) {
        fence(std::memory_order_seq_cst, place::current());
        return;
    }
    take_step({.kind = step::heavy, .at = place::current()});
    for (int i = 0; i < program_.threads; ++i)
        drain_all(i);
    memory_.fence(current_, std::memory_order_seq_cst);
    note(current_, "heavy fence", nullptr);
    memory_.end_step(current_);
}

void explorer::yield_hint(const place& at)
{
    if (current_ == nobody)
        return;
    take_step({.kind = step::yield, .at = at});
    of(current_).news_seen = memory_.changes_by_others(current_);
    note(current_, "spins", &at);
    memory_.end_step(current_);
}

void explorer::wait(predicate holds, void* context, bool may_rest, const place& at)
{
    if (current_ == nobody)
        misuse("nobody to wait for outside of the threads");
    take_step({.kind = step::wait, .ready = holds, .context = context, .may_rest = may_rest, .at = at});
    // decide() has found the predicate true, with memory as it is.
    model_thread& me = of(current_);
    for (std::uint32_t s = 0; s < memory_.slots(); ++s) {
        const bool acquiring = (me.looked_at_acquiring & bit(s)) != 0;
        if ((me.looked_at & bit(s)) != 0 && !memory_.forwards(current_, s))
            memory_.order_after(current_, s, acquiring ? std::memory_order_acquire : std::memory_order_relaxed);
    }
    memory_.observe(current_, me.found);
    me.next = {};  // the predicate goes out of scope
    note(current_, "goes on after its wait", &at);
    memory_.end_step(current_);
}

int explorer::choose(int n, const place& at)
{
    choice_point among;
    if (n < 1 || n > static_cast<int>(among.options.size()) || current_ == nobody || peeking_ != nobody)
        misuse("choose() is for threads, and for up to 8 values");
    for (int i = 0; i < n; ++i)
        among.add(i);
    const std::uint8_t chosen = pick(event::choice, among);
    if (outcome_ != outcome::open)
        fail_here(result_.what, at);
    if (tracing_) {
        events_.push_back({event::choice, chosen});
        note(current_, "chooses " + std::to_string(chosen), &at);
    }
    memory_.observe(current_, chosen);
    return chosen;
}

void explorer::fail_here(const std::string& what, const place& at)
{
    fail(what, &at);
    if (current_ != nobody && peeking_ == nobody) {
        switch_to(nobody);
        misuse("a dropped thread runs");
    }
}

// ---- the program's side

bool active() noexcept
{
    return explorer::get() != nullptr && explorer::get()->active();
}

void born(const void* v, word first) noexcept
{
    if (active())
        explorer::get()->construct(v, first, variable_kind::atomic);
}

void died(const void* v) noexcept
{
    if (active())
        explorer::get()->destroy(v);
}

word load(const void* v, word first, memory_order order, const place& at) noexcept
{
    return explorer::get()->load(v, first, order, at);
}

void store(const void* v, word first, word value, memory_order order, const place& at) noexcept
{
    explorer::get()->store(v, first, value, order, at);
}

word rmw_begin(const void* v, word first, const place& at) noexcept
{
    return explorer::get()->rmw_begin(v, first, step::rmw, at);
}

void rmw_write(word value, memory_order order) noexcept
{
    explorer::get()->rmw_write(value, order);
}

void rmw_leave(memory_order order) noexcept
{
    explorer::get()->rmw_leave(order);
}

void light_fence() noexcept
{
    if (active())
        explorer::get()->light_fence();
}

void wait(predicate ready, void* context, bool may_rest, const place& at)
{
    if (!active())
        misuse("a wait outside of a program");
    explorer::get()->wait(ready, context, may_rest, at);
}

void name(const void* begin, std::size_t bytes, const char* text, int number)
{
    if (active())
        explorer::get()->name(begin, bytes, text, number);
}

passive::passive(word value, bool checked) noexcept
{
    if (!active())
        misuse("a plain or ghost variable outside of a program");
    explorer::get()->construct(this, value, checked ? variable_kind::plain : variable_kind::ghost);
}

passive::~passive()
{
    died(this);
}

word passive::read(const place& at) const noexcept
{
    return explorer::get()->read(this, at);
}

void passive::write(word value, const place& at) noexcept
{
    explorer::get()->overwrite(this, value, at);
}

}  // namespace detail

void check(bool holds, const char* what, const std::source_location& at)
{
    if (!holds)
        detail::explorer::get()->fail_here(what, at);
}

void yield_hint(const std::source_location& at)
{
    if (detail::active())
        detail::explorer::get()->yield_hint(at);
}

int choose(int n, const std::source_location& at)
{
    return detail::explorer::get()->choose(n, at);
}

void fence(std::memory_order order, const std::source_location& at)
{
    if (detail::active())
        detail::explorer::get()->fence(order, at);
}

int this_thread() noexcept
{
    return detail::explorer::get()->current();
}

void lock::acquire(const std::source_location& at)
{
    (void)detail::explorer::get()->rmw_begin(this, 0, detail::step::acquire, at);
    detail::rmw_write(1, std::memory_order_acquire);
}

bool lock::try_acquire(const std::source_location& at)
{
    if (detail::rmw_begin(this, 0, at) != 0) {
        detail::rmw_leave(std::memory_order_relaxed);
        return false;
    }
    detail::rmw_write(1, std::memory_order_acquire);
    return true;
}

void lock::release(const std::source_location& at)
{
    detail::store(this, 0, 0, std::memory_order_release, at);
}

}  // namespace weft::model

namespace weft::sys {

void heavy_fence() noexcept
{
    if (model::detail::active())
        model::detail::explorer::get()->heavy_fence();
}

}  // namespace weft::sys
