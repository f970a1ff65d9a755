// Objects that are used again.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "weft/detail/config.hpp"

namespace weft {

namespace detail {

/// pool<T> without its T: pointers, and how to destroy what they point to.
class pool_core {
public:
    using destroyer = void (*)(void*) noexcept;
    /// Throws std::bad_alloc.
    WEFT_API explicit pool_core(destroyer destroy);
    WEFT_API ~pool_core();
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;

    /// Null when there is none.
    [[nodiscard]] WEFT_API void* get() noexcept;
    WEFT_API void put(void* object) noexcept;
    WEFT_API void clear() noexcept;
    [[nodiscard]] WEFT_API std::size_t size() const noexcept;

private:
    struct shard;
    [[nodiscard]] shard& nearest() const noexcept;

    destroyer destroy_;
    std::size_t shards_;  ///< a power of two
    std::unique_ptr<shard[]> shard_;
};

}  // namespace detail

/// A stock of objects that are costly to make and hold nothing that must be kept, such as buffers. Each P has its own
/// part, so goroutines on different Ps rarely meet; for plain threads too. What lies unused for about two seconds of
/// use of the pool is destroyed, and so is what exceeds 256 objects a P at once; in between the pool may hand out any
/// object or a new one. clear() gives back everything.
template <class T>
class pool {
public:
    /// Objects are made by T's default constructor. Throws std::bad_alloc.
    pool()
        requires std::default_initializable<T>
        : pool([] { return std::make_unique<T>(); })
    {
    }
    /// Objects are made by `make`, from any goroutine or thread, several at a time. Throws std::bad_alloc.
    explicit pool(std::function<std::unique_ptr<T>()> make)
        : make_(std::move(make)), core_([](void* object) noexcept { delete static_cast<T*>(object); })
    {
    }
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    /// Destroys what lies in it.
    ~pool() = default;

    /// An object that was put, as it was then, or else a new one. Throws what the factory throws.
    [[nodiscard]] std::unique_ptr<T> get()
    {
        if (void* const object = core_.get())
            return std::unique_ptr<T>(static_cast<T*>(object));
        return make_();
    }
    /// For the next get(). Null does nothing.
    void put(std::unique_ptr<T> object) noexcept
    {
        if (object != nullptr)
            core_.put(object.release());
    }
    /// Destroys what lies in it now.
    void clear() noexcept { core_.clear(); }
    /// How many objects lie in it, about.
    [[nodiscard]] std::size_t size() const noexcept { return core_.size(); }

private:
    std::function<std::unique_ptr<T>()> make_;
    detail::pool_core core_;
};

}  // namespace weft
