// The modelled machine: variables, store buffers, and what is ordered before what. It knows nothing of schedules: the
// explorer says whose step it is and when a store leaves its buffer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "model/explore.hpp"

namespace weft::model::detail {

using mask = std::uint64_t;  ///< a set of slots

inline constexpr int nobody = -1;
inline constexpr std::uint32_t max_slots = 64;
inline constexpr std::uint32_t max_buffered = 32;
inline constexpr std::uint32_t max_plain = 12;  // five bits each in a word, see ordered_accesses()

/// The user of the checker has made a mistake.
[[noreturn]] void misuse(const char* what);

/// Finaliser of splitmix64 (Steele, Lea, Flood, 2014).
constexpr std::uint64_t mix(std::uint64_t x) noexcept
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
}

constexpr mask bit(std::uint32_t slot) noexcept
{
    return mask{1} << slot;
}

constexpr bool acquires(memory_order order) noexcept
{
    return order != std::memory_order_relaxed && order != std::memory_order_release;
}

constexpr bool releases(memory_order order) noexcept
{
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

/// For each thread, up to which of its steps somebody's past reaches.
struct vector_clock {
    std::array<std::uint32_t, max_threads> at{};

    void join(const vector_clock& other) noexcept
    {
        for (std::size_t i = 0; i < at.size(); ++i)
            at[i] = std::max(at[i], other.at[i]);
    }
    friend bool operator==(const vector_clock&, const vector_clock&) = default;
};

enum class variable_kind : std::uint8_t { atomic, plain, ghost };

/// A variable in one execution.
struct slot {
    const void* at = nullptr;
    std::uint64_t id = 0;  ///< the same in every execution that has brought its creator to the same point
    word value = 0;
    vector_clock released;  ///< what an acquire load of `value` orders
    variable_kind kind = variable_kind::atomic;
    bool alive = false;
    int destroyer = nobody;
    // Of plain ones: when each thread has read it since the last write, and that write.
    vector_clock reads;
    int writer = nobody;
    std::uint32_t written = 0;
};

struct buffered_store {
    std::uint32_t slot = 0;
    word value = 0;
    vector_clock released;
};

class machine {
public:
    explicit machine(const options& how) noexcept : model_(how.model), eager_(how.eager_drains) {}

    /// For the next execution.
    void reset(int threads) noexcept;

    // -- variables; `by` is the thread that does it, or nobody

    void construct(const void* v, word first, variable_kind kind, int by) noexcept;
    void destroy(const void* v, int by) noexcept;
    /// The slot of an atomic; one that is not known was constructed before the execution began, with `first`.
    [[nodiscard]] std::uint32_t locate(const void* v, word first) noexcept;
    /// The slot of any variable of this execution.
    [[nodiscard]] std::uint32_t locate(const void* v) noexcept;
    [[nodiscard]] const slot& at(std::uint32_t s) const noexcept { return slots_[s]; }
    [[nodiscard]] std::uint32_t slots() const noexcept { return slot_count_; }
    /// What the thread would read: its own newest buffered store, or memory.
    [[nodiscard]] word view(int thread, std::uint32_t s) const noexcept;
    [[nodiscard]] bool forwards(int thread, std::uint32_t s) const noexcept
    {
        return (of(thread).buffered_slots & bit(s)) != 0;
    }

    // -- steps

    word load(int thread, std::uint32_t s, memory_order order) noexcept;
    /// As part of a wait: orders as load() does, for a value that has been viewed.
    void order_after(int thread, std::uint32_t s, memory_order order) noexcept;
    [[nodiscard]] bool buffers(memory_order order) const noexcept
    {
        return model_ == memory::tso && order != std::memory_order_seq_cst;
    }
    /// One that is not buffered needs the own buffer drained, as do the next three.
    void store(int thread, std::uint32_t s, word value, memory_order order) noexcept;
    void modify(int thread, std::uint32_t s, word value, memory_order order) noexcept;
    void fence(int thread, memory_order order) noexcept;
    /// Outside of threads.
    void set(std::uint32_t s, word value) noexcept { write(slots_[s], value, {}, nobody); }
    /// Plain and ghost variables. Returns the thread with whose access this one races, or nobody.
    [[nodiscard]] int read(int thread, std::uint32_t s) noexcept;
    [[nodiscard]] int overwrite(int thread, std::uint32_t s, word value) noexcept;
    /// Something that the thread's future depends on.
    void observe(int thread, word value) noexcept;
    void end_step(int thread) noexcept;

    // -- store buffers

    [[nodiscard]] bool has_buffered(int thread) const noexcept { return of(thread).buffered != 0; }
    [[nodiscard]] mask buffered_slots(int thread) const noexcept { return of(thread).buffered_slots; }
    /// The variables to which two threads have stores on their way.
    [[nodiscard]] mask conflicting() const noexcept;
    /// The set of threads whose oldest store may have to reach memory before `thread` (or nobody) does something that
    /// touches these variables in memory.
    [[nodiscard]] std::uint32_t drainable(int thread, mask touched) const noexcept;
    /// The oldest store of the thread goes to memory; it is returned.
    buffered_store drain(int thread) noexcept;

    // -- states

    /// How often others have changed memory.
    [[nodiscard]] std::uint64_t changes_by_others(int thread) const noexcept { return changes_ - of(thread).changes; }
    [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }
    [[nodiscard]] std::uint64_t hash() const noexcept;

private:
    struct thread_state {
        std::uint64_t history = 0;  ///< hash of its steps and what they read: with the program, all of its state
        std::uint64_t changes = 0;  ///< of memory, by this thread
        std::uint32_t created = 0;  ///< variables constructed
        vector_clock clock;
        vector_clock seen_relaxed;  ///< what an acquire fence would order
        vector_clock fenced;        ///< `clock` at the last release fence
        std::array<buffered_store, max_buffered> buffer{};
        std::uint32_t buffered = 0;
        mask buffered_slots = 0;

        /// What a store with this order releases.
        [[nodiscard]] const vector_clock& published(memory_order order) const noexcept
        {
            return releases(order) ? clock : fenced;
        }
    };
    /// Where the variables are; an entry of another execution is free.
    struct table_entry {
        const void* at = nullptr;
        std::uint32_t execution = 0;
        std::uint32_t slot = 0;
    };

    [[nodiscard]] thread_state& of(int thread) noexcept { return threads_[static_cast<std::size_t>(thread)]; }
    [[nodiscard]] const thread_state& of(int thread) const noexcept
    {
        return threads_[static_cast<std::size_t>(thread)];
    }
    table_entry& find(const void* v) noexcept;
    slot& add(const void* v, word first, std::uint64_t id) noexcept;
    void write(slot& s, word value, const vector_clock& released, int by) noexcept;
    [[nodiscard]] std::uint64_t ordered_accesses(const vector_clock& clock) const noexcept;

    memory model_;
    bool eager_;
    int thread_count_ = 0;
    std::array<thread_state, max_threads> threads_;
    std::uint32_t execution_ = 0;
    std::array<table_entry, std::size_t{4} * max_slots> table_{};
    std::array<slot, max_slots> slots_;
    std::uint32_t slot_count_ = 0;
    std::uint32_t created_outside_ = 0;
    std::array<std::uint32_t, max_plain> plain_{};
    std::uint32_t plain_count_ = 0;
    std::uint64_t values_hash_ = 0;  ///< the exclusive or of a hash of each variable's value
    std::uint64_t changes_ = 0;
};

}  // namespace weft::model::detail
