// local_values: the values of local<T> in one goroutine, or of a plain thread.
//
// A table in g_extra, indexed by the variable: entry i belongs to the variable with the i-th key, as long as the ids
// are equal; a key whose variable has gone is given to another one, with a new id. Touched by its goroutine alone.
//
// It is emptied at the end, in the goroutine itself, as destructors are user code: after the body, or where somebody
// waits for the result (storage_life::kept: the control block is not ours any more once that one has been told), before
// that. Destructors may make values: up to `rounds` times what is there is destroyed, as with the keys of pthreads.
#pragma once

#include <cstdint>
#include <vector>

#include "rt/core/g.hpp"
#include "weft/local.hpp"

namespace weft::rt {

class local_values {
public:
    struct entry {
        std::uint64_t id = 0;    ///< 0: empty
        std::uint64_t made = 0;  ///< the how-manieth of this goroutine
        void* value = nullptr;
        void (*destroy)(void*) = nullptr;
    };

    [[nodiscard]] void* find(const detail::local_key& key) const noexcept
    {
        if (key.index >= entries_.size() || entries_[key.index].id != key.id)
            return nullptr;
        return entries_[key.index].value;
    }
    void reserve(const detail::local_key& key)
    {
        if (key.index >= entries_.size())
            entries_.resize(key.index + 1);
    }
    void put(const detail::local_key& key, void* value, void (*destroy)(void*)) noexcept
    {
        const entry before = entries_[key.index];
        entries_[key.index] = {key.id, ++made_, value, destroy};
        if (before.value != nullptr)
            before.destroy(before.value);  // of a variable that has gone
    }
    void* take(const detail::local_key& key) noexcept
    {
        void* const value = find(key);
        if (value != nullptr)
            entries_[key.index] = {};
        return value;
    }
    /// Destroys what is there, the youngest first, and what is made meanwhile, in so many rounds. False: there is more.
    bool destroy_all() noexcept;

private:
    static constexpr int rounds = 4;  // PTHREAD_DESTRUCTOR_ITERATIONS
    std::vector<entry> entries_;
    std::uint64_t made_ = 0;
};

/// At the end of the goroutine, or thread, that `item` stands for, which must be the caller.
void end_locals(g& item) noexcept;

}  // namespace weft::rt
