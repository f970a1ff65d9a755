#include "rt/services/hibernate/pack.hpp"

#include <array>
#include <cstring>

#include "base/atomic.hpp"
#include "base/check.hpp"
#include "base/cpu.hpp"
#include "rt/stack/arena.hpp"
#include "sys/lock.hpp"
#include "sys/memory.hpp"

namespace weft::rt {

namespace {

enum form : std::uint8_t {
    zero,      ///< 0
    byte_1,    ///< 1 byte
    byte_2,    ///< 2 bytes
    byte_4,    ///< 4 bytes
    negative,  ///< 1 byte, sign-extended
    own,       ///< 2 bytes: an address in the first 64 KiB from the words' own
    code,      ///< 4 bytes, signed: near `anchor`
    address,   ///< 6 bytes
    whole,     ///< 8 bytes
    forms
};
constexpr std::array<std::uint8_t, forms> form_bytes{0, 1, 2, 4, 1, 2, 4, 6, 8};

/// Something in our code: return addresses, and often the heap, are within 2 GiB of it.
constexpr char anchor_object = 0;
std::uint64_t anchor() noexcept
{
    return reinterpret_cast<std::uintptr_t>(&anchor_object);
}

struct word_code {
    form how;
    std::uint64_t value;
};

word_code encode(std::uint64_t word, std::uint64_t at) noexcept
{
    if (word == 0)
        return {zero, 0};
    if (word <= 0xff)
        return {byte_1, word};
    if (word <= 0xffff)
        return {byte_2, word};
    if (word - at <= 0xffff)
        return {own, word - at};
    if (word <= 0xffff'ffff)
        return {byte_4, word};
    if (word >= ~std::uint64_t{0x7f})
        return {negative, word};
    if (const std::uint64_t far = word - anchor() + 0x8000'0000U; far <= 0xffff'ffff)
        return {code, far};
    if (word <= 0xffff'ffff'ffff)
        return {address, word};
    return {whole, word};
}

std::uint64_t decode(form how, std::uint64_t value, std::uint64_t at) noexcept
{
    switch (how) {
        case negative:
            return value | ~std::uint64_t{0xff};
        case own:
            return value + at;
        case code:
            return value + anchor() - 0x8000'0000U;
        default:
            return value;
    }
}

}  // namespace

// ASan has parts of a frame poisoned that are ordinary memory to us; TSan knows nothing of who may touch the memory of
// a parked goroutine.
__attribute__((no_sanitize("address", "thread"))) void pack(const std::uint64_t* from, std::size_t words,
                                                            packed_stack& out) noexcept
{
    const std::uint64_t at = reinterpret_cast<std::uintptr_t>(from);
    std::uint8_t* const tags = out.data;
    std::uint8_t* to = tags + (words + 1) / 2;
    for (std::size_t i = 0; i < words; ++i) {
        const word_code c = encode(*const_cast<const volatile std::uint64_t*>(from + i), at);
        if (i % 2 == 0)
            tags[i / 2] = c.how;
        else
            tags[i / 2] = static_cast<std::uint8_t>(tags[i / 2] | c.how << 4U);
        for (unsigned byte = 0; byte < form_bytes[c.how]; ++byte)
            *to++ = static_cast<std::uint8_t>(c.value >> (8 * byte));
    }
    out.words = static_cast<std::uint16_t>(words);
    out.bytes = static_cast<std::uint16_t>(to - reinterpret_cast<std::uint8_t*>(&out));
}

void unpack(const packed_stack& in, std::uintptr_t at, std::uint64_t* to) noexcept
{
    const std::uint8_t* const tags = in.data;
    const std::uint8_t* from = tags + (in.words + 1) / 2;
    for (std::size_t i = 0; i < in.words; ++i) {
        const auto how = static_cast<form>(unsigned{tags[i / 2]} >> (i % 2 * 4) & 0xfU);
        std::uint64_t value = 0;
        for (unsigned byte = 0; byte < form_bytes[how]; ++byte)
            value |= static_cast<std::uint64_t>(*from++) << (8 * byte);
        to[i] = decode(how, value, at);
    }
}

// --- memory

namespace {

// Classes: steps of 16 bytes up to 1 KiB, of 64 up to 4 KiB, of 1 KiB beyond.
constexpr std::size_t fine_step = 16;
constexpr std::size_t fine_end = 1024;
constexpr std::size_t middle_step = 64;
constexpr std::size_t middle_end = 4096;
constexpr std::size_t coarse_step = 1024;
constexpr std::size_t fine_classes = fine_end / fine_step;
constexpr std::size_t middle_classes = (middle_end - fine_end) / middle_step;
constexpr std::size_t largest = packed_bound(most_packed_words);
constexpr std::size_t classes = fine_classes + middle_classes + (largest - middle_end + coarse_step - 1) / coarse_step;

constexpr std::size_t class_of(std::size_t bytes) noexcept
{
    if (bytes <= fine_end)
        return (bytes + fine_step - 1) / fine_step - 1;
    if (bytes <= middle_end)
        return fine_classes + (bytes - fine_end + middle_step - 1) / middle_step - 1;
    return fine_classes + middle_classes + (bytes - middle_end + coarse_step - 1) / coarse_step - 1;
}
constexpr std::size_t class_bytes(std::size_t cls) noexcept
{
    if (cls < fine_classes)
        return (cls + 1) * fine_step;
    if (cls < fine_classes + middle_classes)
        return fine_end + (cls - fine_classes + 1) * middle_step;
    return middle_end + (cls - fine_classes - middle_classes + 1) * coarse_step;
}
static_assert(class_bytes(classes - 1) >= largest && class_bytes(class_of(17)) == 32 &&
              class_bytes(class_of(1025)) == 1088);

constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

/// Blocks of one class, after this head. Those with room are in a list of their class, full ones in none.
struct chunk {
    chunk* next;
    chunk* previous;
    void* free;               ///< freed blocks, linked by their first word
    std::uint32_t used;       ///< blocks in use
    std::uint32_t untouched;  ///< offset of what was never used
    std::uint32_t block_bytes;
    std::uint32_t cls;

    [[nodiscard]] bool full() const noexcept { return free == nullptr && untouched + block_bytes > chunk_bytes; }
    [[nodiscard]] static chunk* of(void* block) noexcept
    {
        return reinterpret_cast<chunk*>(reinterpret_cast<std::uintptr_t>(block) & ~(chunk_bytes - 1));
    }
};
constexpr std::uint32_t first_block = 64;
static_assert(sizeof(chunk) <= first_block);

// Lock order: leaf.
class store {
public:
    packed_stack* take(std::size_t bytes) noexcept
    {
        const std::size_t cls = class_of(bytes);
        lock_.lock();
        chunk* c = with_room_[cls];
        if (c == nullptr)
            c = new_chunk(cls);
        void* block = nullptr;
        if (c != nullptr) {
            block = take_from(*c);
            blocks_.add();
            bytes_.add(c->block_bytes);
        }
        lock_.unlock();
        return static_cast<packed_stack*>(block);
    }

    void give(void* block) noexcept
    {
        lock_.lock();
        chunk& c = *chunk::of(block);
        const bool was_full = c.full();
        std::memcpy(block, &c.free, sizeof c.free);
        c.free = block;
        --c.used;
        blocks_.add(static_cast<std::uint64_t>(-1));
        bytes_.add(-static_cast<std::uint64_t>(c.block_bytes));
        if (was_full)
            link(c);
        if (c.used == 0) {
            unlink(c);
            put_away(c);
        }
        lock_.unlock();
    }

    void hold() noexcept { lock_.lock(); }
    void release() noexcept { lock_.unlock(); }
    [[nodiscard]] packed_counts count() const noexcept { return {blocks_.read(), bytes_.read(), committed_.read()}; }

private:
    // Precondition of all: the lock is held.
    chunk* new_chunk(std::size_t cls) noexcept
    {
        chunk* c = kept_;
        if (c != nullptr) {
            kept_ = c->next;
            --kept_count_;
        } else {
            c = gone_count_ != 0 ? gone_[--gone_count_] : static_cast<chunk*>(space_.carve(chunk_bytes, chunk_bytes));
            if (c == nullptr)
                return nullptr;
            committed_.add(chunk_bytes);
        }
        *c = chunk{nullptr,
                   nullptr,
                   nullptr,
                   0,
                   first_block,
                   static_cast<std::uint32_t>(class_bytes(cls)),
                   static_cast<std::uint32_t>(cls)};
        link(*c);
        return c;
    }
    void* take_from(chunk& c) noexcept
    {
        void* block = c.free;
        if (block != nullptr) {
            std::memcpy(&c.free, block, sizeof c.free);
        } else {
            block = reinterpret_cast<char*>(&c) + c.untouched;
            c.untouched += c.block_bytes;
        }
        ++c.used;
        if (c.full())
            unlink(c);
        return block;
    }
    void link(chunk& c) noexcept
    {
        c.next = with_room_[c.cls];
        c.previous = nullptr;
        if (c.next != nullptr)
            c.next->previous = &c;
        with_room_[c.cls] = &c;
    }
    void unlink(chunk& c) noexcept
    {
        if (c.previous != nullptr)
            c.previous->next = c.next;
        else
            with_room_[c.cls] = c.next;
        if (c.next != nullptr)
            c.next->previous = c.previous;
    }
    /// A few chunks without blocks stay as they are, others give their memory back.
    void put_away(chunk& c) noexcept
    {
        constexpr std::uint32_t enough = 16;
        if (gone_ == nullptr)
            gone_ = static_cast<chunk**>(
                sys::reserve(most_gone * sizeof(chunk*), base::page_size, sys::pages::small, "weft hibernated"));
        if (kept_count_ < enough || gone_ == nullptr || gone_count_ == most_gone) {
            c.next = kept_;
            kept_ = &c;
            ++kept_count_;
            return;
        }
        sys::discard(&c, chunk_bytes);
        committed_.add(-static_cast<std::uint64_t>(chunk_bytes));
        gone_[gone_count_++] = &c;
    }

    sys::lock_word lock_;
    std::array<chunk*, classes> with_room_{};                       // guarded by lock_
    static constexpr std::size_t most_gone = std::size_t{1} << 20;  // 64 GiB of chunks
    chunk* kept_ = nullptr;                                         // guarded by lock_; empty ones, linked by `next`
    std::uint32_t kept_count_ = 0;                                  // guarded by lock_
    chunk** gone_ = nullptr;                                        // guarded by lock_; empty ones without memory
    std::size_t gone_count_ = 0;                                    // guarded by lock_
    arena space_{std::size_t{1} << 20, std::size_t{1} << 30, sys::pages::small, "weft hibernated"};  // guarded by lock_
    base::counter blocks_;     // written under lock_
    base::counter bytes_;      // written under lock_
    base::counter committed_;  // written under lock_
};

constinit store blocks;

}  // namespace

packed_stack* take_packed(std::size_t bytes) noexcept
{
    base::check(bytes <= largest, "size of a packed stack");
    return blocks.take(bytes);
}

void give_packed(packed_stack* block) noexcept
{
    blocks.give(block);
}

void hold_packed_for_fork() noexcept
{
    blocks.hold();
}

void release_packed_after_fork() noexcept
{
    blocks.release();
}

packed_counts count_packed() noexcept
{
    return blocks.count();
}

}  // namespace weft::rt
