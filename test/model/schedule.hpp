// Schedules: the choices of which one is made, its text form, and the states that were seen on the way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::model::detail {

/// A point of an execution at which the explorer chose.
struct choice_point {
    std::array<std::uint8_t, 8> options{};
    std::uint8_t count = 0;
    std::uint8_t taken = 0;  ///< index of the option that this execution took

    void add(int option) noexcept { options[count++] = static_cast<std::uint8_t>(option); }
    void add_all(std::uint32_t set) noexcept
    {
        for (int i = 0; set != 0; set >>= 1U, ++i)
            if ((set & 1U) != 0)
                add(i);
    }
    [[nodiscard]] bool same_options(const choice_point& other) const noexcept
    {
        return options == other.options && count == other.count;
    }
};

enum class event : std::uint8_t {
    thread,  ///< a step of that thread
    drain,   ///< its oldest buffered store reaches memory
    choice,  ///< outcome of choose()
};

struct scheduled {
    event kind;
    std::uint8_t value;
};

/// The text form of a schedule; see the head of explore.hpp.
[[nodiscard]] std::string encode(const std::vector<scheduled>& events);
/// Ends the process when `text` is none.
[[nodiscard]] std::vector<scheduled> decode(std::string_view text);

/// The states seen, by their hashes, each with the largest number of preemptions that were left when it was.
class state_set {
public:
    /// False: seen before, with as many left.
    bool insert(std::uint64_t key, int left);
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

private:
    struct entry {
        std::uint64_t key = 0;
        int left = 0;  ///< plus one; 0: free
    };
    entry& find(std::uint64_t key) noexcept;
    void grow();

    std::vector<entry> entries_;
    std::size_t count_ = 0;
};

}  // namespace weft::model::detail
