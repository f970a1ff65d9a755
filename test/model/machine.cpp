#include "model/machine.hpp"

#include <cstdio>
#include <cstdlib>

namespace weft::model::detail {

namespace {

/// Names a variable alike in all executions. Spread widely, since values are mixed in by exclusive or.
constexpr std::uint64_t slot_id(std::uint64_t creator, std::uint64_t number) noexcept
{
    return mix(mix(creator ^ 0x77656674U) ^ number);
}

}  // namespace

void misuse(const char* what)
{
    std::fprintf(stderr, "model checker: %s\n", what);
    std::abort();
}

void machine::reset(int threads) noexcept
{
    thread_count_ = threads;
    for (int i = 0; i < threads; ++i) {
        thread_state& t = of(i);
        t.history = static_cast<std::uint64_t>(i);
        t.changes = 0;
        t.created = 0;
        t.clock = t.seen_relaxed = t.fenced = {};
        t.clock.at[static_cast<std::size_t>(i)] = 1;
        t.buffered = 0;
        t.buffered_slots = 0;
    }
    ++execution_;
    slot_count_ = created_outside_ = plain_count_ = 0;
    values_hash_ = 0;
    changes_ = 0;
}

// ---- variables

/// The entry of the variable, or the one where it belongs.
machine::table_entry& machine::find(const void* v) noexcept
{
    std::size_t i = mix(reinterpret_cast<std::uintptr_t>(v)) % table_.size();
    while (table_[i].execution == execution_ && table_[i].at != v)
        i = (i + 1) % table_.size();
    return table_[i];
}

slot& machine::add(const void* v, word first, std::uint64_t id) noexcept
{
    if (slot_count_ == max_slots)
        misuse("too many variables");
    find(v) = {v, execution_, slot_count_};
    slot& s = slots_[slot_count_++];
    s = slot{};
    s.at = v;
    s.id = id;
    s.value = first;
    s.alive = true;
    values_hash_ ^= mix(id ^ first);
    return s;
}

void machine::construct(const void* v, word first, variable_kind kind, int by) noexcept
{
    std::uint32_t& number = by == nobody ? created_outside_ : of(by).created;
    slot& s = add(v, first, slot_id(static_cast<std::uint64_t>(by + 2), ++number));
    s.kind = kind;
    if (kind != variable_kind::plain)
        return;
    if (plain_count_ == max_plain)
        misuse("too many plain variables");
    plain_[plain_count_++] = slot_count_ - 1;
    if (by != nobody) {
        s.writer = by;
        s.written = of(by).clock.at[static_cast<std::size_t>(by)];
    }
}

void machine::destroy(const void* v, int by) noexcept
{
    const table_entry& entry = find(v);
    if (entry.execution != execution_)
        return;
    slot& s = slots_[entry.slot];
    s.alive = false;
    s.destroyer = by;
    values_hash_ ^= mix(s.id ^ s.value);
}

std::uint32_t machine::locate(const void* v, word first) noexcept
{
    const table_entry& entry = find(v);
    if (entry.execution != execution_)
        add(v, first, slot_id(0, reinterpret_cast<std::uintptr_t>(v)));
    return entry.slot;
}

std::uint32_t machine::locate(const void* v) noexcept
{
    const table_entry& entry = find(v);
    if (entry.execution != execution_)
        misuse("a plain or ghost variable outside of its program");
    return entry.slot;
}

void machine::write(slot& s, word value, const vector_clock& released, int by) noexcept
{
    s.released = released;
    if (s.value == value)
        return;
    values_hash_ ^= mix(s.id ^ s.value) ^ mix(s.id ^ value);
    s.value = value;
    ++changes_;
    if (by != nobody)
        ++of(by).changes;
}

word machine::view(int thread, std::uint32_t s) const noexcept
{
    const thread_state& t = of(thread);
    if ((t.buffered_slots & bit(s)) != 0)
        for (std::uint32_t i = t.buffered; i-- > 0;)
            if (t.buffer[i].slot == s)
                return t.buffer[i].value;
    return slots_[s].value;
}

// ---- steps

void machine::order_after(int thread, std::uint32_t s, memory_order order) noexcept
{
    thread_state& t = of(thread);
    (acquires(order) ? t.clock : t.seen_relaxed).join(slots_[s].released);
}

word machine::load(int thread, std::uint32_t s, memory_order order) noexcept
{
    const word value = view(thread, s);
    if (!forwards(thread, s))
        order_after(thread, s, order);
    observe(thread, value);
    return value;
}

void machine::store(int thread, std::uint32_t s, word value, memory_order order) noexcept
{
    thread_state& t = of(thread);
    if (!buffers(order)) {
        write(slots_[s], value, t.published(order), thread);
        return;
    }
    if (t.buffered == max_buffered)
        misuse("store buffer too short");
    t.buffer[t.buffered++] = {s, value, t.published(order)};
    t.buffered_slots |= bit(s);
}

void machine::modify(int thread, std::uint32_t s, word value, memory_order order) noexcept
{
    order_after(thread, s, order);
    // It goes on with the release sequence that it finds.
    vector_clock released = slots_[s].released;
    released.join(of(thread).published(order));
    write(slots_[s], value, released, thread);
}

void machine::fence(int thread, memory_order order) noexcept
{
    thread_state& t = of(thread);
    if (acquires(order))
        t.clock.join(t.seen_relaxed);
    if (releases(order))
        t.fenced = t.clock;
}

int machine::read(int thread, std::uint32_t s) noexcept
{
    slot& v = slots_[s];
    thread_state& t = of(thread);
    observe(thread, v.value);
    if (v.kind != variable_kind::plain)
        return nobody;
    const auto i = static_cast<std::size_t>(thread);
    v.reads.at[i] = t.clock.at[i];
    return v.writer != nobody && t.clock.at[static_cast<std::size_t>(v.writer)] < v.written ? v.writer : nobody;
}

int machine::overwrite(int thread, std::uint32_t s, word value) noexcept
{
    slot& v = slots_[s];
    int races_with = nobody;
    if (v.kind == variable_kind::plain) {
        const vector_clock& now = of(thread).clock;
        for (int i = 0; i < thread_count_; ++i) {
            const auto n = static_cast<std::size_t>(i);
            if (v.reads.at[n] > now.at[n] || (v.writer == i && v.written > now.at[n]))
                races_with = i;
        }
        v.writer = thread;
        v.written = now.at[static_cast<std::size_t>(thread)];
        v.reads = {};
    }
    write(v, value, {}, thread);
    return races_with;
}

void machine::observe(int thread, word value) noexcept
{
    of(thread).history = mix(of(thread).history ^ value);
}

void machine::end_step(int thread) noexcept
{
    // Steps that read nothing count as well: the history tells where the thread is.
    observe(thread, 1);
    // What the thread does from here on is not in what it has published.
    ++of(thread).clock.at[static_cast<std::size_t>(thread)];
}

// ---- store buffers

mask machine::conflicting() const noexcept
{
    mask once = 0;
    mask twice = 0;
    for (int i = 0; i < thread_count_; ++i) {
        twice |= once & buffered_slots(i);
        once |= buffered_slots(i);
    }
    return twice;
}

std::uint32_t machine::drainable(int thread, mask touched) const noexcept
{
    // The stores to touched variables; those before them in their buffers; the stores of others to the same variables
    // as those, since their order in memory is open; and so on.
    for (bool grown = !eager_; grown;) {
        grown = false;
        for (int i = 0; i < thread_count_; ++i) {
            const thread_state& t = of(i);
            bool goes_first = false;
            for (std::uint32_t k = (t.buffered_slots & touched) != 0 ? t.buffered : 0; k-- > 0;) {
                const mask here = bit(t.buffer[k].slot);
                goes_first |= (touched & here) != 0;
                grown |= goes_first && (touched & here) == 0;
                touched |= goes_first ? here : 0;
            }
        }
    }
    std::uint32_t found = 0;
    for (int i = 0; i < thread_count_; ++i) {
        const mask buffered = buffered_slots(i);
        // The thread itself sees its stores anyhow: they have to go first only for their order among the others'.
        const bool matters = (buffered & touched) != 0 && (i != thread || (buffered & conflicting()) != 0);
        if (eager_ ? buffered != 0 : matters)
            found |= 1U << static_cast<unsigned>(i);
    }
    return found;
}

buffered_store machine::drain(int thread) noexcept
{
    thread_state& t = of(thread);
    const buffered_store oldest = t.buffer[0];
    std::copy(t.buffer.begin() + 1, t.buffer.begin() + t.buffered, t.buffer.begin());
    --t.buffered;
    t.buffered_slots = 0;
    for (std::uint32_t i = 0; i < t.buffered; ++i)
        t.buffered_slots |= bit(t.buffer[i].slot);
    if (slots_[oldest.slot].alive)
        write(slots_[oldest.slot], oldest.value, oldest.released, thread);
    return oldest;
}

// ---- states

/// Which of the last accesses to plain variables a clock reaches: all of it that matters to races to come.
std::uint64_t machine::ordered_accesses(const vector_clock& clock) const noexcept
{
    std::uint64_t found = 0;
    for (std::uint32_t i = 0; i < plain_count_; ++i) {
        const slot& s = slots_[plain_[i]];
        const bool after_write = s.writer == nobody || clock.at[static_cast<std::size_t>(s.writer)] >= s.written;
        found = found << 1U | static_cast<std::uint64_t>(after_write);
        for (std::size_t n = 0; n < max_threads; ++n)
            found = found << 1U | static_cast<std::uint64_t>(clock.at[n] >= s.reads.at[n]);
    }
    return found;
}

std::uint64_t machine::hash() const noexcept
{
    // A clock that reaches nothing is frequent.
    const std::uint64_t of_nothing = ordered_accesses({});
    const auto reached = [&](const vector_clock& clock)
    { return clock == vector_clock{} ? of_nothing : ordered_accesses(clock); };
    std::uint64_t h = values_hash_;
    for (int i = 0; i < thread_count_; ++i) {
        const thread_state& t = of(i);
        h = mix(h ^ t.history);
        h = mix(h ^ t.buffered);
        for (std::uint32_t k = 0; k < t.buffered; ++k) {
            h = mix(h ^ slots_[t.buffer[k].slot].id);
            h = mix(h ^ t.buffer[k].value);
            h = mix(h ^ reached(t.buffer[k].released));
        }
        h = mix(h ^ reached(t.clock));
        h = mix(h ^ reached(t.seen_relaxed));
        h = mix(h ^ reached(t.fenced));
    }
    // The order of slots may differ between executions in the same state: hence a sum.
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < slot_count_; ++i) {
        const slot& s = slots_[i];
        if (const std::uint64_t r = reached(s.released); s.alive && r != of_nothing)
            sum += mix(s.id ^ r);
    }
    return mix(h ^ sum);
}

}  // namespace weft::model::detail
