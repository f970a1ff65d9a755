#include "rt/core/local.hpp"

#include <mutex>
#include <utility>

#include "base/check.hpp"
#include "rt/core/current.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

namespace {

/// Who has which index. Never destroyed: variables are statics mostly, and end after everything else.
struct key_pool {
    sys::lock_word lock;
    std::vector<std::uint32_t> free{};  ///< guarded by lock; has room for all indices
    std::uint32_t indices = 0;          ///< guarded by lock
    std::uint64_t last_id = 0;          ///< guarded by lock

    static key_pool& get()
    {
        static auto* const it = new key_pool;
        return *it;
    }
};

/// The caller's, without making anything but a plain thread's stand-in; null: no memory for that.
g* this_g() noexcept
{
    const m* const self = this_m();
    return self != nullptr ? self->current : this_thread_g();
}

local_values* table_of(const g* item) noexcept
{
    return item == nullptr || item->extra == nullptr ? nullptr : item->extra->locals;
}

}  // namespace

bool local_values::destroy_all() noexcept
{
    for (int round = 0; round < rounds; ++round) {
        const std::uint64_t oldest_new = made_ + 1;
        for (;;) {
            entry* youngest = nullptr;
            for (entry& e : entries_)
                if (e.value != nullptr && e.made < oldest_new && (youngest == nullptr || e.made > youngest->made))
                    youngest = &e;
            if (youngest == nullptr)
                break;
            const entry gone = std::exchange(*youngest, entry{});
            gone.destroy(gone.value);
        }
        if (made_ + 1 == oldest_new)
            return true;
    }
    for (const entry& e : entries_)
        if (e.value != nullptr)
            return false;
    return true;
}

void end_locals(g& item) noexcept
{
    local_values* const values = table_of(&item);
    if (values == nullptr)
        return;
    if (!values->destroy_all())
        base::report(
            "weft: destructors of weft::local values of goroutine %llu (0: a thread) have made new values again and "
            "again; those are not destroyed\n",
            static_cast<unsigned long long>(item.id));
    item.extra->locals = nullptr;
    delete values;
}

}  // namespace weft::rt

// The entry points themselves, as those of spawn.cpp.
namespace weft::detail {

local_key local_new_key()
{
    rt::key_pool& pool = rt::key_pool::get();
    const std::lock_guard guard(pool.lock);
    if (pool.free.empty()) {
        pool.free.reserve(pool.indices + std::size_t{1});  // so that dropping it can't fail
        return {pool.indices++, ++pool.last_id};
    }
    const std::uint32_t index = pool.free.back();
    pool.free.pop_back();
    return {index, ++pool.last_id};
}

void local_drop_key(const local_key& key) noexcept
{
    rt::key_pool& pool = rt::key_pool::get();
    const std::lock_guard guard(pool.lock);
    pool.free.push_back(key.index);
}

void* local_find(const local_key& key) noexcept
{
    const rt::local_values* const values = rt::table_of(rt::this_g());
    return values == nullptr ? nullptr : values->find(key);
}

void local_reserve(const local_key& key)
{
    rt::g& me = *rt::current();
    if (me.extra == nullptr)
        me.extra = new rt::g_extra;
    if (me.extra->locals == nullptr)
        me.extra->locals = new rt::local_values;
    me.extra->locals->reserve(key);
}

void local_put(const local_key& key, void* value, void (*destroy)(void*)) noexcept
{
    rt::table_of(rt::this_g())->put(key, value, destroy);
}

void* local_take(const local_key& key) noexcept
{
    rt::local_values* const values = rt::table_of(rt::this_g());
    return values == nullptr ? nullptr : values->take(key);
}

void task_end_locals() noexcept
{
    rt::end_locals(*rt::this_m()->current);
}

}  // namespace weft::detail
