// docs/design/hibernation.md explains the protocol; the names of its steps are in the comments here.
//
// Locks: one of 64 stripes, by the 2 MiB span that a stack lies in, guards the notes of the span's stacks, the span's
// own note and what is done to its pages. A leaf but for the store of packed stacks; a signal handler takes it, so
// nothing under it touches memory that may be away. Whoever hibernates holds the hibernation lock around it.
#include "rt/services/hibernate/hibernate.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "base/cpu.hpp"
#include "rt/core/cold.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/m_thread.hpp"
#include "rt/services/hibernate/pack.hpp"
#include "rt/stack/stack.hpp"
#include "sys/clock.hpp"
#include "sys/cpus.hpp"
#include "sys/keep_errno.hpp"
#include "sys/lock.hpp"
#include "sys/membarrier.hpp"
#include "sys/memory.hpp"
#include "sys/paging.hpp"
#include "sys/sanitizer.hpp"
#include "sys/thread.hpp"
#include "weft/detail/kept_stack.hpp"

namespace weft::detail {

/// The kept stacks of a stripe, which guards them. Their objects are in memory, so no fault comes of a look at one.
class kept_stacks {
public:
    void add(kept_stack& one, char* top) noexcept
    {
        one.top_ = top;
        one.next_ = first_;
        one.before_ = &first_;
        if (first_ != nullptr)
            first_->before_ = &one.next_;
        first_ = &one;
    }
    static void remove(kept_stack& one) noexcept
    {
        *one.before_ = one.next_;
        if (one.next_ != nullptr)
            one.next_->before_ = one.before_;
    }
    [[nodiscard]] bool has(const char* top) const noexcept
    {
        const kept_stack* at = first_;
        while (at != nullptr && at->top_ != top)
            at = at->next_;
        return at != nullptr;
    }

private:
    kept_stack* first_ = nullptr;
};

}  // namespace weft::detail

namespace weft::rt {

namespace {

constexpr std::size_t page = base::page_size;
constexpr std::size_t span_bytes = std::size_t{2} << 20;  // what one page of a page table maps
constexpr std::size_t red_zone = 128;                     // bytes below the stack pointer that may be in use (x86-64)
constexpr std::size_t word = sizeof(std::uint64_t);
constexpr std::size_t most_used = most_packed_words * word;
constexpr std::size_t most_image = (most_used + 2 * page - 1) / page * page;  // pages that the used part may touch

/// Its stacks are all away or none of their pages is missing without a marker.
struct span_note {
    std::uint16_t away = 0;          ///< stacks of this span that are hibernated; guarded by the stripe
    base::atomic<bool> cold{false};  ///< no access to all of it, no marker, no page; written under the stripe
};

/// Beside each slab of stacks, made when the first of its stacks is hibernated.
struct slab_notes {
    base::atomic<packed_stack*>* stacks;  ///< null: it is not away. Written under the stripe
    span_note* spans;
    std::uintptr_t first_span;
};

struct stripe {
    sys::lock_word lock;
    detail::kept_stacks kept;                                          // guarded by lock
    alignas(page) std::array<std::uint64_t, most_image / word> image;  // guarded by lock
};
constexpr std::size_t stripe_count = 64;
constinit std::array<stripe, stripe_count> stripes{};

sys::lock_word hibernating;  // held by who hibernates
bool possible = false;       // written at the start
const char* refusal = "the runtime has not started";
bool spans_may_be_cold = false;     // written at the start
std::uint64_t most_cold_edges = 0;  // written at the start

base::atomic<std::uint64_t> stacks_away{0};
base::atomic<std::uint64_t> stacks_taken{0};
base::atomic<std::uint64_t> stacks_restored{0};
base::atomic<std::uint64_t> stacks_restored_by_fault{0};
/// Neighbouring spans of which one is cold and the other not: each costs a mapping.
base::atomic<std::uint64_t> cold_edges{0};

/// A stack, and where its notes are.
struct place {
    slab_info* slab;
    slab_notes* notes;  ///< null: none of the slab's stacks was ever hibernated
    char* top;
    unsigned cls;

    [[nodiscard]] static place of(std::uintptr_t address) noexcept
    {
        slab_info* const slab = find_slab(address);
        if (slab == nullptr)
            return {};
        const std::uintptr_t low = address & ~(std::uintptr_t{stack_bytes(slab->cls)} - 1);
        return {slab, static_cast<slab_notes*>(slab->notes.load(base::memory_order_acquire)),
                reinterpret_cast<char*>(low + stack_bytes(slab->cls)), slab->cls};
    }
    [[nodiscard]] std::uintptr_t top_address() const noexcept { return reinterpret_cast<std::uintptr_t>(top); }
    [[nodiscard]] std::uintptr_t span() const noexcept { return (top_address() - 1) & ~(span_bytes - 1); }
    [[nodiscard]] stripe& lock_of() const noexcept { return stripe_of(top_address()); }
    [[nodiscard]] static stripe& stripe_of(std::uintptr_t top) noexcept
    {
        return stripes[(top - 1) / span_bytes % stripe_count];
    }
    [[nodiscard]] base::atomic<packed_stack*>& note() const noexcept
    {
        return notes->stacks[(top_address() - 1 - slab->low) / stack_bytes(cls)];
    }
    [[nodiscard]] span_note& span_state() const noexcept
    {
        return notes->spans[(span() - notes->first_span) / span_bytes];
    }
    [[nodiscard]] char* usable_low() const noexcept { return top - usable_stack_bytes(cls); }
    /// Several stacks in each span, and the whole span in the slab.
    [[nodiscard]] bool in_shared_span() const noexcept
    {
        return stack_bytes(cls) < span_bytes && span() >= slab->low && span() + span_bytes <= slab->high;
    }
};

/// The used part of a parked stack, in bytes and in pages.
struct used_part {
    char* begin;  ///< aligned to a word
    std::size_t words;
    char* first_page;  ///< its pages go to the stack's end

    used_part(const sys::context& saved, const place& at) noexcept
    {
        const auto sp = reinterpret_cast<std::uintptr_t>(saved.sp) - red_zone;
        begin = reinterpret_cast<char*>(std::max(sp & ~(word - 1), reinterpret_cast<std::uintptr_t>(at.usable_low())));
        words = static_cast<std::size_t>(first_frame(at.top, at.cls) - begin) / word;
        first_page = page_of(begin);
    }
    used_part(const packed_stack& kept, const place& at) noexcept
        : begin(first_frame(at.top, at.cls) - kept.words * word), words(kept.words), first_page(page_of(begin))
    {
    }
    static char* page_of(char* at) noexcept
    {
        return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(at) & ~(page - 1));
    }
};

/// Until `attempt()` says true; what it asks the kernel for may be short for a moment.
template <class F>
void insist(const char* what, F&& attempt) noexcept
{
    constexpr std::int64_t patience = 10'000'000'000;  // ns
    const std::int64_t begin = sys::monotonic_now();
    while (!attempt()) {
        const int error = errno;
        if (sys::monotonic_now() - begin > patience)
            base::fatal(
                "can't %s for 10 s: %s. Pages of a hibernated stack must come back: there is no memory (see the "
                "cgroup's memory.max, ulimit -v) or no mapping (vm.max_map_count) left; options::hibernate_after = 0 "
                "hibernates nothing",
                what, std::strerror(error));
        sys::sleep_thread(1'000'000);  // ns
    }
}

slab_notes* make_notes(slab_info& slab) noexcept
{
    const std::size_t stacks = (slab.high - slab.low) / stack_bytes(slab.cls);
    const std::uintptr_t first_span = slab.low & ~(span_bytes - 1);
    const std::size_t spans = (slab.high - first_span + span_bytes - 1) / span_bytes;
    const std::size_t bytes =
        sizeof(slab_notes) + stacks * sizeof(base::atomic<packed_stack*>) + spans * sizeof(span_note);
    auto* const at =
        static_cast<char*>(sys::reserve((bytes + page - 1) & ~(page - 1), page, sys::pages::small, "weft hibernated"));
    if (at == nullptr)
        return nullptr;
    // Memory of zeros is notes of stacks that are not away.
    auto* const notes = reinterpret_cast<slab_notes*>(at);
    notes->stacks = reinterpret_cast<base::atomic<packed_stack*>*>(at + sizeof(slab_notes));
    notes->spans = reinterpret_cast<span_note*>(at + sizeof(slab_notes) + stacks * sizeof(base::atomic<packed_stack*>));
    notes->first_span = first_span;
    return notes;
}

/// For who hibernates: the place of a stack, with notes. False: its slab can't be paged.
bool find_to_hibernate(char* top, place& out) noexcept
{
    out = place::of(reinterpret_cast<std::uintptr_t>(top) - 1);
    if (out.slab == nullptr || out.slab->unpageable)
        return false;
    if (out.notes == nullptr) {
        out.notes = make_notes(*out.slab);
        if (out.notes == nullptr ||
            !sys::allow_paging(reinterpret_cast<void*>(out.slab->low), out.slab->high - out.slab->low)) {
            out.slab->unpageable = true;
            return false;
        }
        out.slab->notes.store(out.notes, base::memory_order_release);  // pairs with place::of()
    }
    return true;
}

// --- spans

bool is_cold(const place& at, std::uintptr_t span) noexcept
{
    return span >= at.slab->low && span + span_bytes <= at.slab->high &&
           at.notes->spans[(span - at.notes->first_span) / span_bytes].cold.load(base::memory_order_relaxed);
}

/// What cold_edges changes by when this span does. Neighbours may change meanwhile: it is an estimate for a limit.
std::int64_t edges_more_if_cold(const place& at) noexcept
{
    const int cold_neighbours =
        (is_cold(at, at.span() - span_bytes) ? 1 : 0) + (is_cold(at, at.span() + span_bytes) ? 1 : 0);
    return 2 - 2 * cold_neighbours;
}

void note_cold(const place& at, bool cold) noexcept
{
    const std::int64_t more = edges_more_if_cold(at);
    at.span_state().cold.store(cold, base::memory_order_release);
    cold_edges.fetch_add(static_cast<std::uint64_t>(cold ? more : -more), base::memory_order_relaxed);
}

/// Puts a cold span's guards and markers back, under cover of its having no access. What is at `except` (null: nothing)
/// is not marked, the caller fills it.
void mark_span(const place& at, const char* except) noexcept
{
    const std::size_t size = stack_bytes(at.cls);
    const std::size_t guard = stack_guard;
    auto* const low = reinterpret_cast<char*>(at.span());
    char* begin = low;  // of what is to be marked next: a guard, or used pages with the next stack's guard
    for (char* top = low + size;; top += size) {
        char* const end = top - size + guard;
        insist("guard stacks", [=] { return sys::guard(begin, static_cast<std::size_t>(end - begin)); });
        const place one{at.slab, at.notes, top, at.cls};
        const packed_stack* const kept = one.note().load(base::memory_order_relaxed);
        begin = top == except || kept == nullptr ? top : used_part(*kept, one).first_page;
        if (top == low + span_bytes) {
            if (begin != top)
                insist("mark stacks", [=] { return sys::guard(begin, static_cast<std::size_t>(top - begin)); });
            return;
        }
    }
}

/// False: no mapping left for it (vm.max_map_count).
bool open_span(const place& at) noexcept
{
    if (!sys::set_access(reinterpret_cast<void*>(at.span()), span_bytes, sys::access::all))
        return false;
    note_cold(at, false);
    return true;
}

/// A cold span beside one that isn't can be warmed without another mapping: so warms from the nearer end of the row of
/// cold spans up to this one. Without any stripe held.
void warm_row_up_to(const place& at, std::uintptr_t span) noexcept
{
    std::uintptr_t begin = span;
    while (is_cold(at, begin - span_bytes))
        begin -= span_bytes;
    for (; begin < span; begin += span_bytes) {
        const place one{at.slab, at.notes, reinterpret_cast<char*>(begin + stack_bytes(at.cls)), at.cls};
        stripe& s = one.lock_of();
        s.lock.lock();
        if (one.span_state().cold.load(base::memory_order_relaxed)) {
            mark_span(one, nullptr);
            if (!open_span(one))
                insist("take markers away", [=] { return sys::unguard(reinterpret_cast<void*>(begin), span_bytes); });
        }
        s.lock.unlock();
    }
}

// --- putting back

/// Fills the pages of a hibernated stack. Precondition: the stripe is held. False: the span must be warmed by
/// warm_row_up_to() first.
bool fill(const place& at, stripe& held, const packed_stack& kept) noexcept
{
    const used_part used(kept, at);
    const auto bytes = static_cast<std::size_t>(at.top - used.first_page);
    std::memset(held.image.data(), 0, bytes);
    unpack(kept, reinterpret_cast<std::uintptr_t>(used.begin),
           held.image.data() + static_cast<std::size_t>(used.begin - used.first_page) / word);
    if (!at.span_state().cold.load(base::memory_order_relaxed)) {
        insist("put back a stack",
               [&]
               {
                   errno = sys::put_back(used.first_page, held.image.data(), bytes);
                   return errno == 0;
               });
        return true;
    }
    mark_span(at, at.top);
    insist("put back a stack",
           [&]
           {
               errno = sys::put_below(used.first_page, held.image.data(), bytes);
               return errno == 0;
           });
    if (open_span(at))
        return true;
    insist("take markers away", [&] { return sys::unguard(reinterpret_cast<void*>(at.span()), span_bytes); });
    sys::discard(reinterpret_cast<void*>(at.span()), span_bytes);
    return false;
}

/// Precondition: the stripe is held. False as fill().
bool restore(const place& at, stripe& held, packed_stack& kept) noexcept
{
    if (!fill(at, held, kept))
        return false;
    at.note().store(nullptr, base::memory_order_release);
    --at.span_state().away;
    clear_cold(kept.owner->why);
    give_packed(&kept);
    stacks_away.fetch_sub(1, base::memory_order_relaxed);
    stacks_restored.fetch_add(1, base::memory_order_relaxed);
    return true;
}

/// Puts the stack with `address` back if it is away. True: it was. `owner`, if not null, is the goroutine that is about
/// to run on it: it says cold no more.
WEFT_NOINLINE bool make_present(std::uintptr_t address, g* owner) noexcept
{
    const sys::keep_errno callers;  // whoever happens to switch to it, or to touch it
    bool was_away = false;
    insist("open a range of stacks",
           [&]
           {
               place at = place::of(address);
               stripe& s = at.lock_of();
               s.lock.lock();
               at = place::of(
                   address);  // its notes may have been made before the lock was taken, and not be seen by the first
               packed_stack* const kept = at.notes == nullptr ? nullptr : at.note().load(base::memory_order_relaxed);
               was_away = kept != nullptr;
               const bool done = !was_away || restore(at, s, *kept);
               if (done && owner != nullptr)
                   clear_cold(owner->why);
               s.lock.unlock();
               if (!done) {
                   warm_row_up_to(at, at.span());
                   errno = ENOMEM;
               }
               return done;
           });
    return was_away;
}

/// For others than its own goroutine.
void bring_back(std::uintptr_t address) noexcept
{
    if (make_present(address, nullptr))
        stacks_restored_by_fault.fetch_add(1, base::memory_order_relaxed);
}

// --- taking away

constexpr unsigned exempt = g::no_stack | g::locked | g::a_thread | g::pinned | g::bubbled | g::not_hibernated;

/// H5: what can be hibernated is what is parked and still says cold; it stays so until the stripe is released. The
/// flags again: its control block may be another goroutine's by now, which waits for its start.
bool is_parked_and_cold(const g& item, const char* top) noexcept
{
    return item.state.load(base::memory_order_acquire) == g_state::waiting &&
           says_cold(item.why.load(base::memory_order_acquire)) && (item.flags & exempt) == 0 && item.stack_top == top;
}

/// A candidate whose stack is to be taken away.
struct victim {
    g* item;
    place at;
    packed_stack* kept;
};

class group {
public:
    /// Precondition of all: the stripe of their one span is held.
    void add(g* item, const place& at) noexcept { members_[count_++] = {item, at, nullptr}; }
    [[nodiscard]] bool full() const noexcept { return count_ == members_.size(); }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    std::size_t take_away(stripe& held) noexcept;

private:
    std::size_t freeze_span(stripe& held) noexcept;
    std::size_t freeze_row(std::span<victim> row, stripe& held) noexcept;
    static bool pack_all(std::span<victim> some, stripe& held) noexcept;
    static void drop_packed(std::span<victim> some) noexcept;
    static void note_away(victim& v) noexcept;

    std::array<victim, span_bytes / stack_reserve(min_stack)> members_;
    std::size_t count_ = 0;
};

/// Precondition: nobody can write to their used parts. False: no memory for one of them.
bool group::pack_all(std::span<victim> some, stripe& held) noexcept
{
    auto& into = *reinterpret_cast<packed_stack*>(held.image.data());
    static_assert(packed_bound(most_packed_words) <= sizeof held.image);
    for (victim& v : some) {
        const used_part used(v.item->ctx, v.at);
        pack(reinterpret_cast<const std::uint64_t*>(used.begin), used.words, into);
        into.owner = v.item;
        v.kept = take_packed(into.bytes);
        if (v.kept == nullptr)
            return false;
        std::memcpy(static_cast<void*>(v.kept), &into, into.bytes);
    }
    return true;
}

void group::drop_packed(std::span<victim> some) noexcept
{
    for (victim& v : some) {
        if (v.kept != nullptr)
            give_packed(v.kept);
        v.kept = nullptr;
        give_up_cold(v.item->why);
    }
}

void group::note_away(victim& v) noexcept
{
    v.at.note().store(v.kept, base::memory_order_release);
    ++v.at.span_state().away;
}

std::size_t group::freeze_row(std::span<victim> row, stripe& held) noexcept
{
    const used_part lowest(row.front().item->ctx, row.front().at);
    char* const from = row.front().at.usable_low();
    const auto bytes = static_cast<std::size_t>(row.back().at.top - from);
    if (!sys::set_access(from, bytes, sys::access::read)) {
        drop_packed(row);
        return 0;
    }
    const bool packed = pack_all(row, held);
    // Without access nobody sees a page that is gone and not marked yet, and no write gets lost.
    if (!packed || !sys::set_access(from, bytes, sys::access::none)) {
        insist("give access back", [=] { return sys::set_access(from, bytes, sys::access::all); });
        drop_packed(row);
        return 0;
    }
    sys::discard(from, bytes);  // guards stay
    for (victim& v : row) {
        const used_part used(v.item->ctx, v.at);
        insist("mark a stack",
               [&] { return sys::guard(used.first_page, static_cast<std::size_t>(v.at.top - used.first_page)); });
        note_away(v);
    }
    insist("give access back", [=] { return sys::set_access(from, bytes, sys::access::all); });
    return row.size();
}

std::size_t group::freeze_span(stripe& held) noexcept
{
    const std::span<victim> all = std::span(members_).first(count_);
    auto* const low = reinterpret_cast<char*>(all.front().at.span());
    if (!sys::set_access(low, span_bytes, sys::access::read)) {
        drop_packed(all);
        return 0;
    }
    const bool packed = pack_all(all, held);
    if (!packed || !sys::set_access(low, span_bytes, sys::access::none)) {
        insist("give access back", [=] { return sys::set_access(low, span_bytes, sys::access::all); });
        drop_packed(all);
        return 0;
    }
    // The page table goes with the last marker and page (Linux 6.14); before that it stays, and nothing else is lost.
    insist("take markers away", [=] { return sys::unguard(low, span_bytes); });
    sys::discard(low, span_bytes);
    for (victim& v : all)
        note_away(v);
    note_cold(all.front().at, true);
    return all.size();
}

std::size_t group::take_away(stripe& held) noexcept
{
    // Those that use much keep it, but not what is below: they say cold for that long, so that nobody runs them.
    std::size_t n = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        victim& v = members_[i];
        const used_part used(v.item->ctx, v.at);
        if (used.words <= most_packed_words) {
            members_[n++] = v;
            continue;
        }
        trim_stack(v.at.top, v.at.cls, static_cast<const char*>(v.item->ctx.sp));
    }
    count_ = n;
    if (count_ == 0)
        return 0;
    const place& first = members_[0].at;
    std::size_t taken = 0;
    const bool may_go_cold =
        spans_may_be_cold && first.in_shared_span() &&
        first.span_state().away + count_ == span_bytes / stack_bytes(first.cls) &&
        cold_edges.load(base::memory_order_relaxed) + static_cast<std::uint64_t>(edges_more_if_cold(first)) <=
            most_cold_edges;
    if (may_go_cold) {
        taken = freeze_span(held);
    } else {
        for (std::size_t begin = 0; begin < count_;) {
            std::size_t end = begin + 1;
            while (end < count_ && members_[end].at.top == members_[end - 1].at.top + stack_bytes(first.cls))
                ++end;
            taken += freeze_row(std::span(members_).subspan(begin, end - begin), held);
            begin = end;
        }
    }
    count_ = 0;
    stacks_away.fetch_add(taken, base::memory_order_relaxed);
    stacks_taken.fetch_add(taken, base::memory_order_relaxed);
    return taken;
}

}  // namespace

void init_hibernation(const hibernation_setup& setup) noexcept
{
    possible = false;
    if (setup.off) {
        refusal = "options::hibernate_after is 0";
    } else if (setup.depth_is_measured) {
        refusal = "WEFT_DEBUG=stacks measures how deep stacks are by their pages";
    } else if (!sys::has_membarrier()) {
        refusal = "membarrier(2) is refused here";
    } else if (sys::init_paging(setup.no_userfault, setup.no_memory_file) == sys::refill::none) {
        refusal = sys::refill_refusal();
    } else {
        possible = true;
        refusal = nullptr;
    }
    // Of the mappings that a process may have a quarter for rows of cold spans: the rest is the program's, and a
    // wake-up may need two more.
    const std::uint64_t mappings = sys::most_mappings();
    most_cold_edges = mappings / 4;
    spans_may_be_cold = !setup.no_cold_spans;
}

bool can_hibernate() noexcept
{
    return possible;
}

const char* hibernation_refusal() noexcept
{
    return refusal;
}

__attribute__((no_sanitize("thread"))) bool may_hibernate(const g& item) noexcept
{
    return item.state.load(base::memory_order_relaxed) == g_state::waiting && (item.flags & exempt) == 0 &&
           item.stack_top != nullptr;
}

namespace {

/// Read while it may change; H5 looks again.
__attribute__((noinline, no_sanitize("thread"))) char* top_now(const g& item) noexcept
{
    return item.stack_top;
}

}  // namespace

namespace {

/// H3: sections that began before the heavy fence have ended, so whoever has parked in one has left its stack. False:
/// an M stays in one for longer than is worth waiting for. The caller's own does not count: it parks nobody that it
/// hibernates.
bool outlast_sections() noexcept
{
    struct look {
        const m* self;
        bool all_out;
    } found{this_m(), true};
    for_each_m(
        [](m& other, void* argument) noexcept
        {
            constexpr int patience = 1'000;  // pauses, 10-40 us; who may wait for us does so for less
            auto& all = *static_cast<look*>(argument);
            if (&other == all.self || !all.all_out)
                return;
            int waited = 0;
            while (other.section.may_hold_locks() && ++waited < patience)
                base::pause();
            all.all_out = waited < patience;
        },
        &found);
    return found.all_out;
}

}  // namespace

std::size_t hibernate(std::span<g*> items) noexcept
{
    struct candidate {
        g* item;
        char* top;
    };
    static std::array<candidate, hibernation_batch> candidates;  // guarded by `hibernating`
    static group neighbours;                                     // guarded by `hibernating`
    // H1: say cold. Who takes one from now on finds out before it runs, and calls thaw().
    std::size_t n = 0;
    for (g* const item : items) {
        char* const top = top_now(*item);
        if (may_hibernate(*item) && make_cold(item->why))
            candidates[n++] = {item, top};
    }
    if (n == 0)
        return 0;
    const std::span<candidate> all = std::span(candidates).first(n);
    std::sort(all.begin(), all.end(), [](const candidate& a, const candidate& b) { return a.top < b.top; });
    sys::heavy_fence();  // H2
    if (!outlast_sections()) {
        for (const candidate& c : all)
            give_up_cold(c.item->why);
        return 0;
    }
    std::size_t taken = 0;
    for (std::size_t i = 0; i < n;) {
        place at{};
        if (all[i].top == nullptr || !find_to_hibernate(all[i].top, at)) {
            give_up_cold(all[i++].item->why);
            continue;
        }
        stripe& s = at.lock_of();
        const std::uintptr_t span = at.span();
        s.lock.lock();  // H4
        for (; i < n && !neighbours.full(); ++i) {
            const place one = place::of(reinterpret_cast<std::uintptr_t>(all[i].top) - 1);
            if (one.slab != at.slab || one.span() != span)
                break;
            if (is_parked_and_cold(*all[i].item, one.top) && one.note().load(base::memory_order_relaxed) == nullptr &&
                !s.kept.has(one.top))
                neighbours.add(all[i].item, one);  // H5
            else
                give_up_cold(all[i].item->why);
        }
        if (!neighbours.empty())
            taken += neighbours.take_away(s);  // H6
        s.lock.unlock();
    }
    return taken;
}

bool try_lock_hibernation() noexcept
{
    return hibernating.try_lock();
}

void lock_hibernation() noexcept
{
    hibernating.lock();
}

void unlock_hibernation() noexcept
{
    hibernating.unlock();
}

void thaw(g& item) noexcept
{
    (void)make_present(reinterpret_cast<std::uintptr_t>(item.stack_top) - 1, &item);
}

namespace {

/// A fault where nothing is missing: somebody else was faster, or hibernation was at it and has given up. Not for ever,
/// though: memory that is not accessible for another reason would fault again and again.
bool worth_another_try(std::uintptr_t address, std::uintptr_t instruction) noexcept
{
    static base::atomic<std::uintptr_t> last_fault{0};
    static base::atomic<std::uint64_t> last_moves{0};
    static base::atomic<std::uint32_t> repeated{0};
    constexpr std::uint32_t enough = 1'000;
    const std::uintptr_t fault = address * 31 + instruction;
    const std::uint64_t moves =
        stacks_taken.load(base::memory_order_relaxed) + stacks_restored.load(base::memory_order_relaxed);
    if (last_fault.exchange(fault, base::memory_order_relaxed) != fault ||
        last_moves.exchange(moves, base::memory_order_relaxed) != moves)
        repeated.store(0, base::memory_order_relaxed);
    return repeated.fetch_add(1, base::memory_order_relaxed) < enough;
}

}  // namespace

bool restore_at(std::uintptr_t address, std::uintptr_t instruction) noexcept
{
    constexpr std::uintptr_t longest_instruction = 16;
    const place at = place::of(address);
    if (at.notes == nullptr || address - instruction < longest_instruction)
        return false;
    if (address < reinterpret_cast<std::uintptr_t>(at.usable_low()))
        return false;  // a guard, whatever is above it
    const bool was_away = make_present(address, nullptr);
    if (was_away)
        stacks_restored_by_fault.fetch_add(1, base::memory_order_relaxed);
    return was_away || worth_another_try(address, instruction);
}

void expect_to_touch(const void* object) noexcept
{
    if (stacks_away.load(base::memory_order_relaxed) == 0)
        return;
    const auto address = reinterpret_cast<std::uintptr_t>(object);
    const place at = place::of(address);
    if (at.notes != nullptr && at.note().load(base::memory_order_acquire) != nullptr)
        bring_back(address);
}

bool with_hibernated(char* top, void (*look)(const sys::stack_piece& copy, void* argument) noexcept,
                     void* argument) noexcept
{
    const place at = place::of(reinterpret_cast<std::uintptr_t>(top) - 1);
    if (at.notes == nullptr)
        return false;
    stripe& s = at.lock_of();
    s.lock.lock();
    const packed_stack* const kept = at.note().load(base::memory_order_relaxed);
    if (kept != nullptr) {
        const used_part used(*kept, at);
        const auto low = reinterpret_cast<std::uintptr_t>(used.begin);
        unpack(*kept, low, s.image.data());
        look({low, low + used.words * word, reinterpret_cast<const char*>(s.image.data())}, argument);
    }
    s.lock.unlock();
    return kept != nullptr;
}

void hold_hibernation_for_fork() noexcept
{
    hibernating.lock();
    for (stripe& s : stripes)
        s.lock.lock();
    hold_packed_for_fork();
}

void release_hibernation_after_fork() noexcept
{
    release_packed_after_fork();
    for (stripe& s : stripes)
        s.lock.unlock();
    hibernating.unlock();
}

void restart_hibernation_in_child() noexcept
{
    release_hibernation_after_fork();
    possible = false;
    refusal = "this is the child of a fork()";
    sys::restart_paging_in_child();
}

hibernation_counts count_hibernation() noexcept
{
    return {stacks_away.load(base::memory_order_relaxed), stacks_taken.load(base::memory_order_relaxed),
            stacks_restored.load(base::memory_order_relaxed),
            stacks_restored_by_fault.load(base::memory_order_relaxed)};
}

namespace {

/// Whether the address is in the stack that the caller runs on.
bool is_own(std::uintptr_t address) noexcept
{
    const m* const self = this_m();
    const g* const me = self != nullptr ? self->current : nullptr;
    return me != nullptr && reinterpret_cast<std::uintptr_t>(me->stack_top) - address <= stack_bytes(me->stack_class);
}

}  // namespace

}  // namespace weft::rt

namespace weft::detail {

void kept_stack::keep(const void* address) noexcept
{
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    if (!rt::can_hibernate() || rt::is_own(wanted))
        return;
    const rt::place at = rt::place::of(wanted);
    if (at.slab == nullptr)
        return;
    rt::stripe& s = at.lock_of();
    s.lock.lock();
    s.kept.add(*this, at.top);  // from here on H5 lets it be
    // What was taken before is seen now: the slab's notes may have been made since we looked.
    const rt::place now = rt::place::of(wanted);
    const bool missing = now.notes != nullptr && now.note().load(base::memory_order_relaxed) != nullptr;
    s.lock.unlock();
    if (missing)
        rt::bring_back(wanted);
}

void kept_stack::let_go() noexcept
{
    sys::lock_word& lock = rt::place::stripe_of(reinterpret_cast<std::uintptr_t>(top_)).lock;
    lock.lock();
    kept_stacks::remove(*this);
    lock.unlock();
}

kept_own_stack::kept_own_stack() noexcept : set_(false)
{
    const rt::m* const self = rt::this_m();
    if (self == nullptr || (self->current->flags & rt::g::not_hibernated) != 0)
        return;
    self->current->flags |= rt::g::not_hibernated;
    set_ = true;
}

kept_own_stack::~kept_own_stack()
{
    if (set_)
        rt::this_m()->current->flags &= static_cast<std::uint8_t>(~rt::g::not_hibernated);
}

}  // namespace weft::detail
