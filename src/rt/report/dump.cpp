#include "rt/report/dump.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rt/core/current.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/core/wait_reason.hpp"
#include "rt/report/stack_depth.hpp"
#include "rt/report/stack_walk.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/m_thread.hpp"
#include "rt/stack/stack.hpp"
#include "sys/backtrace.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/interrupt.hpp"
#include "sys/membarrier.hpp"
#include "sys/peek.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

using ull = unsigned long long;
constexpr std::int64_t second = 1'000'000'000;  // ns

/// Held by who looks: one dump, marking or question to a thread at a time. Nothing that parks happens under it, and no
/// section begins.
sys::lock_word looking;

class lock_looking {
public:
    lock_looking() noexcept { looking.lock(); }
    ~lock_looking() { looking.unlock(); }
    lock_looking(const lock_looking&) = delete;
    lock_looking& operator=(const lock_looking&) = delete;
};

// --- since when they wait

std::int64_t first_mark = 0;  // ns; guarded by looking
std::int64_t last_mark = 0;   // ns, 0: never; guarded by looking

std::uint32_t seconds_since_first(std::int64_t now) noexcept
{
    constexpr std::int64_t most = (1 << 24) - 1;  // 194 days
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>((now - first_mark) / second, 0, most));
}
void set_seen_at(g& item, std::uint32_t seconds) noexcept
{
    item.seen_at[0] = static_cast<std::uint8_t>(seconds);
    item.seen_at[1] = static_cast<std::uint8_t>(seconds >> 8U);
    item.seen_at[2] = static_cast<std::uint8_t>(seconds >> 16U);
}
std::uint32_t get_seen_at(const g& item) noexcept
{
    return item.seen_at[0] | static_cast<std::uint32_t>(item.seen_at[1]) << 8U |
           static_cast<std::uint32_t>(item.seen_at[2]) << 16U;
}

struct marking {
    std::uint32_t now;
};

/// Sets the mark only in the word that was read: a park that comes between takes it away, or has it set rightly.
__attribute__((no_sanitize("thread"))) void mark(g& item, void* argument) noexcept
{
    if (item.state.load(base::memory_order_relaxed) != g_state::waiting || (item.flags & g::a_thread) != 0)
        return;
    wait_reason why = item.why.load(base::memory_order_relaxed);
    if (was_seen(why) || why == wait_reason::none)
        return;
    set_seen_at(item, static_cast<const marking*>(argument)->now);
    (void)item.why.compare_exchange_strong(why, mark_seen(why), base::memory_order_relaxed);
}

/// Precondition: `looking` is held.
void mark_all(std::int64_t now) noexcept
{
    if (first_mark == 0)
        first_mark = now;
    marking all{seconds_since_first(now)};
    for_each_g(&mark, &all);
    last_mark = now;
}

// --- goroutines that run

struct question {
    running_goroutine& out;
    m& expected;
};

void copy_identity(const g& who, running_goroutine& out) noexcept
{
    out.id = who.id;
    out.started_at = who.started_at;
    out.name = name_copy::of(who.extra);
}

/// In the signal handler of the thread that is asked.
void answer(const void* ucontext, void* argument) noexcept
{
    const auto& asked = *static_cast<question*>(argument);
    m* const self = this_m();
    running_goroutine& out = asked.out;
    out.who = self == &asked.expected ? self->current : nullptr;
    if (out.who == nullptr)
        return;
    copy_identity(*out.who, out);
    // In the middle of a switch `current` is already the next one, and the stack still the former one's, or g0's: the
    // stack pointer tells.
    if (out.who->stack_top != nullptr)
        walk_running(sys::registers_of_signal(ucontext), {out.who->stack_top, out.who->stack_class}, out.stack);
}

/// What an M says of itself, read while it runs.
struct m_view {
    g* current;
    int thread_id;
};
__attribute__((noinline, no_sanitize("thread"))) m_view view_of(const m& on) noexcept
{
    return {*const_cast<g* const volatile*>(&on.current), on.thread_id.load(base::memory_order_relaxed)};
}

/// Precondition: `looking` is held.
bool ask_locked(m& on, running_goroutine& out, std::int64_t deadline) noexcept
{
    const m_view seen = view_of(on);
    out.thread_id = seen.thread_id;
    out.who = seen.current;
    out.stack.count = 0;
    out.stack.end = sys::walk_end::lost;
    if (seen.current == nullptr || seen.thread_id == 0)
        return false;
    out.asleep = !sys::usage_of(seen.thread_id).runnable;
    question q{out, on};
    return sys::interrupt_thread(seen.thread_id, &answer, &q, deadline);
}

// --- goroutines that do not

/// A control block's fields as they were at one moment, or at several: see census::check().
struct view {
    const g* item;
    std::uint64_t id;
    g_state state;
    std::uint8_t flags;
    std::uint8_t stack_class;
    wait_reason why;
    char* stack_top;
    sys::context saved;
    const void* started_at;
    const g_extra* extra;
    std::uint32_t seen_at;
};

__attribute__((noinline, no_sanitize("thread"))) view view_of(const g& item) noexcept
{
    const volatile g& v = item;
    view out{};
    out.item = &item;
    out.state = item.state.load(base::memory_order_acquire);
    out.id = v.id;
    out.flags = v.flags;
    out.stack_class = v.stack_class;
    out.why = item.why.load(base::memory_order_relaxed);
    out.stack_top = v.stack_top;
    out.saved = {v.ctx.sp, v.ctx.bp, v.ctx.pc};
    out.started_at = v.started_at;
    out.extra = v.extra;
    out.seen_at = get_seen_at(item);
    return out;
}

/// What a goroutine does, in the order of a dump.
enum class doing : std::uint8_t { running, runnable, not_started, waiting };

const char* to_text(doing what) noexcept
{
    switch (what) {
        case doing::running:
            return "running";
        case doing::runnable:
            return "runnable";
        case doing::not_started:
            return "runnable, not started yet";
        case doing::waiting:
            return "waiting";
    }
    return "unknown";
}

/// Goroutines that do the same at the same place.
struct group {
    static constexpr std::size_t most_named = 10;
    struct member {
        std::uint64_t id;
        const g_extra* extra;
        name_copy name;  ///< once it has been looked for
    };

    doing what{};
    wait_reason why{};
    bool asleep = false;
    int thread_id = 0;  ///< while running
    const void* started_at = nullptr;
    std::vector<const void*> stack;
    sys::walk_end end{};
    std::uint64_t count = 0;
    std::uint64_t marked = 0;      ///< of those, how many are known to wait since before the last mark
    std::uint32_t first_seen = 0;  ///< seconds; the longest waiting one of them
    std::uint32_t last_seen = 0;
    std::array<member, most_named> members{};
    std::size_t named = 0;
};

/// All goroutines, grouped. Memory: 1,000 groups of at most 2 KiB, and some tables.
class census {
public:
    census() = default;

    /// Throws std::bad_alloc.
    void add_running(const running_goroutine& found)
    {
        running_.emplace_back(found.who, found.id);
        ++counts_[static_cast<std::size_t>(doing::running)];
        group wanted;
        wanted.what = doing::running;
        wanted.asleep = found.asleep;
        wanted.thread_id = found.thread_id;
        wanted.started_at = found.started_at;
        group* const into = find(wanted, found.stack, reinterpret_cast<std::uintptr_t>(found.who));
        if (into == nullptr)
            return;
        into->count = 1;
        into->named = 1;
        into->members[0] = {found.id, nullptr, found.name};
    }

    void visit(g& item)
    {
        const view v = view_of(item);
        if (v.state == g_state::dead || (v.flags & g::a_thread) != 0)
            return;
        batch_[batched_++] = v;
        if (batched_ == batch_.size())
            check();
    }
    /// Adds those goroutines of the batch that have not ended and begun anew while they were looked at: their stack's
    /// bounds and class belong together, and stacks stay memory of that class for ever.
    void check()
    {
        sys::heavy_fence();  // what was written before anything that view_of() has seen is visible from here on
        for (std::size_t i = 0; i < batched_; ++i) {
            const view before = batch_[i];
            const view now = view_of(*before.item);
            if (now.id == before.id && now.state != g_state::dead && now.stack_top == before.stack_top &&
                now.stack_class == before.stack_class)
                add(before);
        }
        batched_ = 0;
    }
    void out_of_memory() noexcept { out_of_memory_ = true; }
    void print(base::printer& out, std::int64_t now);
    /// Precondition: `looking` is held.
    void note_marks() noexcept
    {
        first_mark_ = first_mark;
        last_mark_ = last_mark;
    }

private:
    static constexpr std::size_t most_groups = 1'000;

    void add(const view& v)
    {
        // Once is enough, whatever it has come to do since its thread was asked.
        if (std::find(running_.begin(), running_.end(), std::pair(v.item, v.id)) != running_.end())
            return;
        group wanted;
        wanted.started_at = v.started_at;
        goroutine_stack stack;
        stack.end = sys::walk_end::complete;
        if (v.state == g_state::running) {
            wanted.what = doing::running;
            stack.end = sys::walk_end::lost;
        } else if ((v.flags & g::no_stack) != 0 || v.stack_top == nullptr) {
            wanted.what = doing::not_started;
        } else {
            wanted.what = v.state == g_state::waiting ? doing::waiting : doing::runnable;
            walk_saved(v.saved, {v.stack_top, v.stack_class}, stack, &cache_);
        }
        if (wanted.what == doing::waiting)
            wanted.why = unmarked(v.why);
        ++counts_[static_cast<std::size_t>(wanted.what)];
        group* const into = find(wanted, stack, 0);
        if (into == nullptr)
            return;
        ++into->count;
        if (wanted.what == doing::waiting && was_seen(v.why)) {
            into->first_seen = into->marked == 0 ? v.seen_at : std::min(into->first_seen, v.seen_at);
            into->last_seen = std::max(into->last_seen, v.seen_at);
            ++into->marked;
        }
        if (into->named < group::most_named)
            into->members[into->named++] = {v.id, v.extra, name_copy::of(v.extra)};
    }

    /// Null: there are too many already.
    group* find(const group& wanted, const goroutine_stack& stack, std::uint64_t apart)
    {
        std::uint64_t hash = 0xcbf29ce484222325U ^ apart;
        const auto mix = [&hash](std::uint64_t value)
        { hash = ((hash ^ value) * 0x9e3779b97f4a7c15U) ^ (hash >> 29U); };
        mix(static_cast<std::uint64_t>(wanted.what));
        mix(static_cast<std::uint64_t>(wanted.why));
        mix(reinterpret_cast<std::uintptr_t>(wanted.started_at));
        for (std::size_t i = 0; i < stack.count; ++i)
            mix(reinterpret_cast<std::uintptr_t>(stack.pcs[i]));
        const auto same = [&](const group& g)
        {
            return g.what == wanted.what && g.why == wanted.why && g.started_at == wanted.started_at &&
                   g.thread_id == wanted.thread_id && g.stack.size() == stack.count &&
                   std::equal(g.stack.begin(), g.stack.end(), stack.pcs.begin());
        };
        const auto [first, last] = by_hash_.equal_range(hash);
        for (auto at = first; at != last; ++at)
            if (same(groups_[at->second]))
                return &groups_[at->second];
        if (groups_.size() == most_groups) {
            ++left_out_;
            return nullptr;
        }
        groups_.push_back(wanted);
        groups_.back().stack.assign(stack.pcs.begin(), stack.pcs.begin() + static_cast<std::ptrdiff_t>(stack.count));
        groups_.back().end = stack.end;
        by_hash_.emplace(hash, groups_.size() - 1);
        return &groups_.back();
    }

    void print_head(base::printer& out) const;
    static void print_members(base::printer& out, const group& g);
    void print_age(base::printer& out, const group& g, std::int64_t now) const;

    std::array<view, 256> batch_{};
    std::size_t batched_ = 0;
    sys::row_cache cache_;
    std::vector<std::pair<const g*, std::uint64_t>> running_;  ///< with the id: who else has the block later is another
    std::vector<group> groups_;
    std::unordered_multimap<std::uint64_t, std::size_t> by_hash_;
    std::array<std::uint64_t, 4> counts_{};
    std::uint64_t left_out_ = 0;
    std::int64_t first_mark_ = 0;
    std::int64_t last_mark_ = 0;
    bool out_of_memory_ = false;
};

void census::print_head(base::printer& out) const
{
    std::uint64_t sum = 0;
    for (const std::uint64_t n : counts_)
        sum += n;
    const auto of = [this](doing what) { return static_cast<ull>(counts_[static_cast<std::size_t>(what)]); };
    out.print("weft: %llu goroutine%s: %llu running, %llu runnable, %llu waiting\n", static_cast<ull>(sum),
              sum == 1 ? "" : "s", of(doing::running), of(doing::runnable) + of(doing::not_started),
              of(doing::waiting));
}

void census::print_members(base::printer& out, const group& g)
{
    for (std::size_t i = 0; i < g.named; ++i) {
        const group::member& one = g.members[i];
        out.print("%s%llu", i == 0 ? "" : ", ", static_cast<ull>(one.id));
        if (!one.name.empty())
            out.print(" [%s]", one.name.text.data());
    }
    if (g.count > g.named)
        out.print(" and %llu more", static_cast<ull>(g.count - g.named));
}

void census::print_age(base::printer& out, const group& g, std::int64_t now) const
{
    if (g.what != doing::waiting || last_mark_ == 0)
        return;
    const auto since = [this, now](std::uint32_t seen)
    { return static_cast<ull>(std::max<std::int64_t>((now - first_mark_) / second - seen, 0)); };
    const ull longest = since(g.first_seen);
    const ull shortest = since(g.last_seen);
    if (g.marked == 0)
        out.print(", for less than %llu s", static_cast<ull>((now - last_mark_) / second + 1));
    else if (g.marked < g.count)
        out.print(", for up to %llu s and more", longest);
    else if (longest == shortest)
        out.print(", for %llu s and more", longest);
    else
        out.print(", for %llu s to %llu s and more", shortest, longest);
}

void census::print(base::printer& out, std::int64_t now)
{
    print_head(out);
    std::vector<const group*> order;
    for (const group& g : groups_)
        order.push_back(&g);
    const auto before = [](const group* a, const group* b)
    {
        if (a->what != b->what)
            return a->what < b->what;
        return a->count != b->count ? a->count > b->count : a->members[0].id < b->members[0].id;
    };
    std::sort(order.begin(), order.end(), before);
    for (const group* const each : order) {
        const group& g = *each;
        out.print("\n");
        if (g.count == 1) {
            out.print("goroutine ");
            print_members(out, g);
            out.print(": %s", to_text(g.what));
        } else {
            out.print("%llu goroutines: %s", static_cast<ull>(g.count), to_text(g.what));
        }
        if (g.what == doing::waiting)
            out.print(": %s", rt::to_text(g.why));
        if (g.what == doing::running && g.thread_id != 0)
            out.print(g.asleep ? " on thread %d, which sleeps in the kernel" : " on thread %d", g.thread_id);
        print_age(out, g, now);
        if (g.count > 1) {
            out.print("\n  goroutines ");
            print_members(out, g);
        }
        out.print("\n");
        sys::print_origin(out, g.started_at);
        if (g.what != doing::not_started)
            print_stack(out, g.stack, g.end);
    }
    if (left_out_ != 0)
        out.print("\n%llu more goroutines at other places are left out\n", static_cast<ull>(left_out_));
    if (out_of_memory_)
        out.print("\nmemory ran out: the rest is left out\n");
}

/// Asks all threads that run goroutines.
struct asking {
    census& all;
    const dump_caller& caller;
    std::int64_t deadline;
    bool out_of_memory = false;
};

void ask_one(m& on, void* argument) noexcept
{
    auto& asked = *static_cast<asking*>(argument);
    constexpr std::int64_t patience = second / 2;  // a thread answers when it next has a CPU
    running_goroutine found;
    if (&on == asked.caller.on) {
        found.who = on.current;
        if (found.who == nullptr)
            return;
        found.thread_id = on.thread_id.load(base::memory_order_relaxed);
        copy_identity(*found.who, found);
        walk_running(asked.caller.registers, {found.who->stack_top, found.who->stack_class}, found.stack,
                     asked.caller.outside_of);
    } else if (!ask_locked(on, found, std::min(asked.deadline, sys::monotonic_now() + patience)) &&
               found.who != nullptr) {
        const view seen = view_of(*found.who);
        if (seen.state != g_state::running)
            return;
        found.id = seen.id;
        found.started_at = seen.started_at;
        found.name = name_copy::of(seen.extra);
        found.stack.count = 0;
    }
    if (found.who == nullptr)
        return;
    try {
        asked.all.add_running(found);
    } catch (const std::bad_alloc&) {
        asked.out_of_memory = true;
    }
}

struct visiting {
    census& all;
    bool out_of_memory;
};

void visit_one(g& item, void* argument) noexcept
{
    auto& visits = *static_cast<visiting*>(argument);
    if (visits.out_of_memory)
        return;
    try {
        visits.all.visit(item);
    } catch (const std::bad_alloc&) {
        visits.out_of_memory = true;
    }
}

/// All that must be looked at; printing it may take as long as somebody's terminal does.
void collect(census& all, const dump_caller& caller, std::int64_t now) noexcept
{
    constexpr std::int64_t patience = 2 * second;  // with all threads together that do not answer
    const lock_looking held;
    sys::prepare_unwinding();
    asking asked{all, caller, now + patience};
    for_each_m(&ask_one, &asked);
    visiting v{all, asked.out_of_memory};
    for_each_g(&visit_one, &v);
    try {
        all.check();
    } catch (const std::bad_alloc&) {
        v.out_of_memory = true;
    }
    if (v.out_of_memory)
        all.out_of_memory();
    all.note_marks();
    mark_all(now);
}

void dump_here(base::printer& out, const dump_caller& caller) noexcept
{
    census* const all = new (std::nothrow) census;
    if (all == nullptr) {
        out.print("weft: no memory for a dump\n");
        return;
    }
    const std::int64_t now = sys::monotonic_now();
    collect(*all, caller, now);
    try {
        all->print(out, now);
        print_depths(out);
    } catch (const std::bad_alloc&) {
        out.print("\nmemory ran out: the rest is left out\n");
    }
    delete all;
}

struct dumping {
    base::printer& out;
    const dump_caller& caller;
    base::atomic<std::uint32_t> done{0};  ///< futex word; after it was set, this object may be gone
};

void* dump_thread(void* argument) noexcept
{
    sys::name_this_thread("weft-dump");
    auto& d = *static_cast<dumping*>(argument);
    dump_here(d.out, d.caller);
    const base::atomic<std::uint32_t>* const word = &d.done;
    d.done.store(1, base::memory_order_release);
    sys::futex_wake(word, 1);
    return nullptr;
}

}  // namespace

name_copy name_copy::of(const g_extra* extra) noexcept
{
    name_copy out;
    g_extra::name_at name{};
    if (extra == nullptr || sys::peek(extra, &name, sizeof name) != sizeof name)
        return out;
    const std::size_t n = sys::peek(name.text, out.text.data(), std::min(name.bytes, out.text.size() - 1));
    out.text[n] = '\0';
    return out;
}

bool ask(m& on, running_goroutine& out, std::int64_t deadline) noexcept
{
    const lock_looking held;
    sys::prepare_unwinding();
    return ask_locked(on, out, deadline);
}

void dump_all(base::printer& out, const dump_caller& caller) noexcept
{
    // The names alone may need more stack than a goroutine has. Whoever can't have a thread uses its own.
    dumping d{out, caller};
    if (caller.on == nullptr || sys::start_thread(&dump_thread, &d) != 0) {
        dump_here(out, caller);
        return;
    }
    while (d.done.load(base::memory_order_acquire) == 0)  // pairs with dump_thread()
        sys::futex_wait(d.done, 0);
}

void report_parked(base::printer& out, const g& item, bool with_stack) noexcept
{
    const name_copy name = name_copy::of(item.extra);
    out.print("goroutine %llu%s%s%s: waiting: %s\n", static_cast<ull>(item.id), name.empty() ? "" : " [",
              name.text.data(), name.empty() ? "" : "]", to_text(item.why.load(base::memory_order_relaxed)));
    sys::print_origin(out, item.started_at);
    if (!with_stack)
        return;
    goroutine_stack stack;
    walk_saved(item.ctx, {item.stack_top, item.stack_class}, stack);
    print_stack(out, std::span(stack.pcs).first(stack.count), stack.end);
}

std::int64_t mark_waiting() noexcept
{
    const lock_looking held;
    const std::int64_t begin = sys::monotonic_now();
    mark_all(begin);
    return sys::monotonic_now() - begin;
}

}  // namespace weft::rt
