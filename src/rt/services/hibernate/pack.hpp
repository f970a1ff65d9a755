// Packed stacks: what is kept of a hibernated stack.
//
// Parked stacks are words, most of which say little: zeros, small numbers, addresses of the stack itself, return
// addresses into code that is near ours. Each word becomes four bits that name its form, and as many bytes as the form
// needs. It is a plain byte code, not a general compressor: packing and unpacking 64 words takes about a tenth of the
// page fault that it goes with.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::rt {

struct g;

/// The most words of a stack that are packed: with more, little would be won.
inline constexpr std::size_t most_packed_words = 2048;  // 16 KiB

/// A hibernated stack's used part. `data` goes on: the forms, two a byte, and then the bytes.
struct packed_stack {
    g* owner;
    std::uint16_t words;  ///< of the used part
    std::uint16_t bytes;  ///< of this block in all
    std::uint8_t data[4];
};
inline constexpr std::size_t packed_head = offsetof(packed_stack, data);

/// So many bytes suffice for any `words`.
[[nodiscard]] constexpr std::size_t packed_bound(std::size_t words) noexcept
{
    return packed_head + (words + 1) / 2 + words * sizeof(std::uint64_t);
}

/// Packs the `words` at `from` into `out`, which has room for packed_bound() of them, and sets words and bytes there.
/// `from` may be changed by others meanwhile; what comes out is then one or the other of each word.
void pack(const std::uint64_t* from, std::size_t words, packed_stack& out) noexcept;

/// The reverse; `at` is where the words were and will be: addresses of the stack itself are kept relative to it.
void unpack(const packed_stack& in, std::uintptr_t at, std::uint64_t* to) noexcept;

// --- memory for them; thread-safe, also in signal handlers of threads that are not in here

/// `bytes` up to packed_bound(most_packed_words). Null: no memory.
[[nodiscard]] packed_stack* take_packed(std::size_t bytes) noexcept;
void give_packed(packed_stack* block) noexcept;
/// Around fork(), in parent and child.
void hold_packed_for_fork() noexcept;
void release_packed_after_fork() noexcept;

struct packed_counts {
    std::uint64_t blocks;     ///< in use
    std::uint64_t bytes;      ///< of those
    std::uint64_t committed;  ///< memory that they are in
};
[[nodiscard]] packed_counts count_packed() noexcept;

}  // namespace weft::rt
