#include "model/explore.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "model/explorer.hpp"

namespace weft::model::detail {

namespace {

constexpr std::uint8_t proceed = 0xff;  // among the threads whose store might drain: nobody's, take the step
constexpr std::uint64_t never = ~std::uint64_t{0};
constexpr std::size_t stack_bytes = std::size_t{256} << 10;
constexpr std::size_t guard_bytes = 4096;

explorer* the_explorer = nullptr;

bool long_run() noexcept
{
    static const bool wanted = std::getenv("WEFT_MODEL_LONG") != nullptr;
    return wanted;
}

bool has(std::uint32_t set, int thread) noexcept
{
    return (set >> static_cast<unsigned>(thread) & 1U) != 0;
}

}  // namespace

explorer* explorer::get() noexcept
{
    return the_explorer;
}

explorer::explorer(const options& how, const program& what) : how_(how), program_(what), memory_(how)
{
    if (the_explorer != nullptr)
        misuse("one exploration at a time");
    for (int i = 0; i < program_.threads; ++i) {
        void* const region =
            mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (region == MAP_FAILED || mprotect(region, guard_bytes, PROT_NONE) != 0)
            misuse("no memory for a stack");
        of(i).stack = static_cast<std::byte*>(region) + guard_bytes;
    }
    the_explorer = this;
}

explorer::~explorer()
{
    the_explorer = nullptr;
    for (const model_thread& t : threads_) {
        if (t.stack != nullptr)
            munmap(t.stack - guard_bytes, guard_bytes + stack_bytes);
    }
}

// ---- executions

result explorer::explore_all()
{
    do {
        ++result_.executions;
        execute();
        result_.states = seen_.size();
        if (outcome_ != outcome::failed && result_.executions == how_.max_executions && !long_run())
            return result_;
    } while (outcome_ != outcome::failed && backtrack());
    result_.complete = true;
    if (outcome_ == outcome::failed) {
        // path_ holds every choice of this execution, so it is the same once more.
        tracing_ = true;
        execute();
        finish_report();
    }
    return result_;
}

result explorer::replay()
{
    replaying_ = tracing_ = true;
    script_ = decode(how_.replay);
    result_.executions = 1;
    execute();
    finish_report();
    return result_;
}

void explorer::execute()
{
    memory_.reset(program_.threads);
    last_ = nobody;
    steps_ = preemptions_ = 0;
    depth_ = script_position_ = 0;
    outcome_ = outcome::open;
    events_.clear();
    names_.clear();

    stage_ = stage::outside;
    program_.create(program_);
    stage_ = stage::starting;
    for (int i = 0; i < program_.threads && outcome_ == outcome::open; ++i) {
        start(i);
        switch_to(i);
    }
    if (outcome_ == outcome::open) {
        stage_ = stage::running;
        const int first = decide();
        if (first != nobody)
            switch_to(first);
    }
    stage_ = stage::outside;
    if (outcome_ == outcome::finished) {
        drain_at_end();
        program_.end(program_.storage);
    }
    if (tracing_ && outcome_ == outcome::failed)
        note_positions();
    program_.destroy(program_.storage);
    stage_ = stage::off;
    result_.steps += static_cast<std::uint64_t>(steps_);
}

/// To the next execution: the last choice that has an alternative takes it. False: there is none.
bool explorer::backtrack()
{
    while (!path_.empty()) {
        if (++path_.back().taken < path_.back().count)
            return true;
        path_.pop_back();
    }
    return false;
}

// ---- fibers

/// Prepares the thread to run from its beginning.
void explorer::start(int thread)
{
    model_thread& t = of(thread);
    t.done = false;
    t.next = {};
    t.news_seen = never;
    t.looked_at_change = never;
    std::byte* top = t.stack + stack_bytes;
#if defined(__x86_64__)
    top -= sizeof(void*);  // where a call would have put the return address
    std::memset(top, 0, sizeof(void*));
#endif
    t.context = {top, nullptr, reinterpret_cast<void*>(&explorer::entry)};
}

void explorer::entry(void* /*unused*/)
{
    the_explorer->body();
}

void explorer::body()
{
    try {
        program_.run(program_.storage, current_);
        of(current_).done = true;
    } catch (const std::exception& e) {
        fail(std::string("exception: ") + e.what(), nullptr);
    } catch (...) {
        fail("exception", nullptr);
    }
    switch_to(stage_ == stage::running && outcome_ == outcome::open ? decide() : nobody);
    misuse("a finished thread runs");
}

/// To the thread's fiber, or (nobody) to the one that explores. A thread that is never switched to again is dropped.
void explorer::switch_to(int thread)
{
    const int from = current_;
    current_ = thread;
    sys::switch_context(from == nobody ? &main_context_ : &of(from).context,
                        thread == nobody ? &main_context_ : &of(thread).context, nullptr);
}

// ---- choices

/// Called by the running thread: announces its next step, and returns when the thread is to take it.
void explorer::take_step(const operation& next)
{
    if (peeking_ != nobody)
        misuse("a predicate may only load");
    const int thread = current_;
    of(thread).next = next;
    of(thread).looked_at_change = never;
    const int chosen = stage_ == stage::starting ? nobody : decide();
    if (chosen != thread)
        switch_to(chosen);
    last_ = thread;
    ++steps_;
}

/// Chooses whose step is next, and which stores reach memory before it. `nobody`: the execution is over.
int explorer::decide()
{
    for (;;) {
        if (steps_ >= how_.max_steps) {
            fail("livelock: no end after " + std::to_string(steps_) + " steps", nullptr);
            return nobody;
        }
        std::uint32_t able = 0;
        std::uint32_t spinning = 0;
        bool blocked = false;
        for (int i = 0; i < program_.threads; ++i) {
            const model_thread& t = of(i);
            if (t.done)
                continue;
            if (!could_become_ready(i))
                blocked |= !t.next.may_rest;
            else
                (t.next.kind == step::yield && !has_news(i) ? spinning : able) |= 1U << static_cast<unsigned>(i);
        }
        if (able == 0 && spinning != 0) {
            // No store stays in its buffer for ever.
            if (drain_any())
                continue;
            able = spinning;
        }
        if (able == 0 && outcome_ == outcome::open) {
            if (blocked)
                fail("deadlock", nullptr);
            else
                outcome_ = outcome::finished;
        }
        if (outcome_ != outcome::open)
            return nobody;

        const bool last_goes_on = last_ != nobody && has(able, last_) && ready(last_);
        choice_point among;
        if (last_goes_on)
            among.add(last_);
        if (!last_goes_on)
            among.add_all(able);
        else if (preemptions_ < how_.preemptions || replaying_)
            among.add_all(able & ~(1U << static_cast<unsigned>(last_)));
        if (seen_before(last_goes_on ? last_ : nobody, nobody))
            return nobody;
        const int thread = pick(event::thread, among);
        if (outcome_ != outcome::open)
            return nobody;
        if (last_goes_on && thread != last_) {
            ++preemptions_;
            note(nobody, "-- preemption --", nullptr);
        }
        if (settle(thread)) {
            if (tracing_)
                events_.push_back({event::thread, static_cast<std::uint8_t>(thread)});
            return thread;
        }
        if (outcome_ != outcome::open)
            return nobody;
    }
}

/// Lets stores reach memory before the step of `thread`. False: it waits for something that has not come, or the
/// execution is over.
bool explorer::settle(int thread)
{
    for (bool drained = false;; drained = true) {
        choice_point among;
        if (ready(thread))
            among.add(proceed);
        among.add_all(memory_.drainable(thread, touched_by_next(thread)));
        if (among.count == 0)
            return false;
        if (drained && seen_before(last_, thread))
            return false;
        const std::uint8_t taken = pick(event::drain, among);
        if (taken == proceed || outcome_ != outcome::open)
            return outcome_ == outcome::open;
        drain_chosen(taken);
        if (outcome_ != outcome::open)
            return false;
    }
}

/// Moves the oldest store of any thread to memory, for the benefit of those that spin. False: there is none, or the
/// execution is over.
bool explorer::drain_any()
{
    choice_point among;
    for (int i = 0; i < program_.threads; ++i)
        if (memory_.has_buffered(i))
            among.add(i);
    if (among.count == 0)
        return false;
    drain_chosen(pick(event::drain, among));
    return outcome_ == outcome::open;
}

/// Of the order in which the last stores arrive matters only that of two to the same variable.
void explorer::drain_at_end()
{
    for (;;) {
        choice_point among;
        among.add_all(memory_.drainable(nobody, memory_.conflicting()));
        if (among.count == 0)
            break;
        drain_chosen(pick(event::drain, among));
    }
    for (int i = 0; i < program_.threads; ++i)
        drain_all(i);
}

void explorer::drain_chosen(int thread)
{
    if (tracing_)
        events_.push_back({event::drain, static_cast<std::uint8_t>(thread)});
    drain_oldest(thread);
}

void explorer::drain_oldest(int thread)
{
    const buffered_store oldest = memory_.drain(thread);
    if (tracing_)
        note(nobody,
             "(" + thread_name(thread) + "'s " + slot_name(oldest.slot) + " = " + value_text(oldest.value) +
                 " reaches memory)",
             nullptr);
    const slot& s = memory_.at(oldest.slot);
    if (!s.alive && s.destroyer != thread)
        fail("a store reaches a variable that " + thread_name(s.destroyer) + " has destroyed", nullptr);
}

void explorer::drain_all(int thread)
{
    while (memory_.has_buffered(thread))
        drain_oldest(thread);
}

/// Whether the thread's next step can be taken in memory as it is.
bool explorer::ready(int thread)
{
    model_thread& t = of(thread);
    if (t.next.kind == step::acquire)
        return memory_.view(thread, t.next.slot) == 0;
    if (t.next.kind != step::wait)
        return true;
    if (t.looked_at_change != memory_.changes()) {
        t.looked_at = t.looked_at_acquiring = 0;
        t.found = 0;
        peeking_ = thread;
        t.found_ready = t.next.ready(t.next.context);
        peeking_ = nobody;
        t.looked_at_change = memory_.changes();
    }
    return t.found_ready;
}

bool explorer::could_become_ready(int thread)
{
    return ready(thread) || memory_.drainable(thread, touched_by_next(thread)) != 0;
}

/// The variables whose value in memory matters to the next step, or that it writes there.
mask explorer::touched_by_next(int thread) const noexcept
{
    const operation& next = of(thread).next;
    const mask own = memory_.buffered_slots(thread);
    switch (next.kind) {
        case step::load:
            // Even if it has a store of its own to forward: that one may drain, and then another thread's over it.
            return bit(next.slot);
        case step::store:
            return memory_.buffers(next.order) ? 0 : bit(next.slot) | own;
        case step::rmw:
        case step::acquire:
            return bit(next.slot) | own;
        case step::fence:
            return next.order == std::memory_order_seq_cst ? own : 0;
        case step::heavy:
            return memory_.conflicting();
        case step::wait:
            return of(thread).looked_at;
        case step::yield:
            break;
    }
    return 0;
}

/// Whether others have changed memory since the thread last went on after a hint.
bool explorer::has_news(int thread) const noexcept
{
    return memory_.changes_by_others(thread) != of(thread).news_seen;
}

std::uint8_t explorer::pick(event kind, const choice_point& among)
{
    if (replaying_)
        return pick_replayed(kind, among);
    if (among.count == 1)
        return among.options[0];
    if (depth_ == path_.size())
        path_.push_back(among);
    else if (!path_[depth_].same_options(among))
        misuse("the program is not deterministic: it did something else in the same schedule");
    const choice_point& here = path_[depth_++];
    return here.options[here.taken];
}

/// As the script says, whatever the bound.
std::uint8_t explorer::pick_replayed(event kind, const choice_point& among)
{
    const auto is_drain = [](const scheduled& e) { return e.kind == event::drain; };
    const auto here = script_.begin() + static_cast<std::ptrdiff_t>(script_position_);
    if (kind == event::drain) {
        if (here == script_.end() || !is_drain(*here))
            return among.options[0];
        if (!memory_.has_buffered(here->value))
            fail("the schedule does not fit the program: nothing to drain", nullptr);
        ++script_position_;
        return here->value;
    }
    // The drains before a thread's step stand before the thread, whose turn is chosen first.
    const auto found = kind == event::thread ? std::find_if_not(here, script_.end(), is_drain) : here;
    if (found == script_.end()) {
        fail("the schedule ends before the program", nullptr);
        return among.options[0];
    }
    const auto* const last = among.options.begin() + among.count;
    if (found->kind != kind || std::find(among.options.begin(), last, found->value) == last) {
        fail("the schedule does not fit the program", nullptr);
        return among.options[0];
    }
    const std::uint8_t value = found->value;
    if (found == here)
        ++script_position_;
    else
        script_.erase(found);
    return value;
}

/// Whether to end the execution here, since an earlier one has gone on from the same state. Also part of the situation:
/// which thread it would be a preemption to leave, and which one has been chosen already.
bool explorer::seen_before(int last, int chosen)
{
    if (!how_.prune || tracing_ || depth_ != path_.size())
        return false;
    // Without a bound it makes no difference whose step was the last.
    const bool bounded = how_.preemptions < unbounded;
    std::uint64_t key = memory_.hash();
    if (program_.fingerprint != nullptr)
        key = mix(key ^ program_.fingerprint(program_.storage));
    for (int i = 0; i < program_.threads; ++i)
        key = key << 1U | (key >> 63U ^ (has_news(i) ? 1U : 0U));
    const int situation = 8 * ((bounded ? last : nobody) + 1) + chosen + 1;
    key = mix(key ^ static_cast<std::uint64_t>(situation) << 32U);
    if (seen_.insert(key, bounded ? how_.preemptions - preemptions_ : 0))
        return false;
    outcome_ = outcome::seen;
    return true;
}

result explore(const options& how, const program& what)
{
    if (!how.replay.empty())
        return explorer(how, what).replay();
    result found = explorer(how, what).explore_all();
    // The failure with the fewest preemptions is the easiest to follow.
    for (options fewer = how; found.failed && found.preemptions > 0;) {
        fewer.preemptions = found.preemptions - 1;
        result simpler = explorer(fewer, what).explore_all();
        if (!simpler.failed)
            break;
        simpler.executions += found.executions;
        found = simpler;
    }
    if (std::getenv("WEFT_MODEL_VERBOSE") != nullptr)
        std::fprintf(stderr, "  bound %d: %llu executions, %llu states, %llu steps%s\n", how.preemptions,
                     static_cast<unsigned long long>(found.executions), static_cast<unsigned long long>(found.states),
                     static_cast<unsigned long long>(found.steps), found.failed ? ", failure" : "");
    return found;
}

}  // namespace weft::model::detail

namespace weft::model {

int bound(int usual, int in_a_long_run) noexcept
{
    return detail::long_run() ? in_a_long_run : usual;
}

}  // namespace weft::model
