// The explorer: who is next, on which stack, and what a program's calls come to.
//
//   explore.cpp  schedules: executions, choices, fibers
//   steps.cpp    what a program calls: each a step of the thread that runs
//   trace.cpp    the report of a failure
//   machine.cpp  the memory underneath
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

#include "model/machine.hpp"
#include "model/schedule.hpp"
#include "sys/context.hpp"

namespace weft::model::detail {

using place = std::source_location;

enum class step : std::uint8_t {
    load,
    store,
    rmw,
    fence,
    heavy,
    yield,
    wait,
    acquire,  ///< a read-modify-write that waits for 0
};

/// What a thread does next.
struct operation {
    step kind = step::load;
    std::uint32_t slot = 0;
    memory_order order = std::memory_order_seq_cst;
    predicate ready = nullptr;
    void* context = nullptr;
    bool may_rest = false;
    place at{};
};

[[nodiscard]] std::string value_text(word value);

class explorer {
public:
    explorer(const options& how, const program& what);
    explorer(const explorer&) = delete;
    explorer& operator=(const explorer&) = delete;
    ~explorer();

    result explore_all();
    result replay();

    /// The one that is exploring; null: none.
    [[nodiscard]] static explorer* get() noexcept;

    // -- steps.cpp: what the program calls
    [[nodiscard]] bool active() const noexcept { return stage_ != stage::off; }
    [[nodiscard]] int current() const noexcept { return current_; }
    void construct(const void* v, word first, variable_kind kind);
    void destroy(const void* v);
    word load(const void* v, word first, memory_order order, const place& at);
    void store(const void* v, word first, word value, memory_order order, const place& at);
    word rmw_begin(const void* v, word first, step kind, const place& at);
    void rmw_write(word value, memory_order order);
    void rmw_leave(memory_order order);
    word read(const void* v, const place& at);
    void overwrite(const void* v, word value, const place& at);
    void fence(memory_order order, const place& at);
    void light_fence();
    void heavy_fence();
    void yield_hint(const place& at);
    void wait(predicate holds, void* context, bool may_rest, const place& at);
    int choose(int n, const place& at);
    /// For failures in what the program does: does not return on a thread.
    void fail_here(const std::string& what, const place& at);

    // -- trace.cpp
    void name(const void* begin, std::size_t bytes, const char* text, int number);

private:
    enum class stage : std::uint8_t {
        off,
        outside,   ///< the program's constructor, end() or destructor: no threads
        starting,  ///< each thread in turn runs up to its first step
        running,
    };
    /// How the execution under way stands.
    enum class outcome : std::uint8_t {
        open,
        finished,  ///< every thread is done or at rest
        seen,      ///< in a state that an earlier execution has been in
        failed,
    };
    struct model_thread {
        sys::context context{};
        std::byte* stack = nullptr;
        bool done = false;
        operation next;
        std::uint64_t news_seen = 0;  ///< changes by others when it last went on after a hint
        // The last evaluation of next.ready.
        std::uint64_t looked_at_change = 0;
        bool found_ready = false;
        mask looked_at = 0;
        mask looked_at_acquiring = 0;
        std::uint64_t found = 0;  ///< hash of the values
    };
    struct named_region {
        const std::byte* begin;
        std::size_t bytes;
        std::string text;
    };

    // -- explore.cpp
    void execute();
    void start(int thread);
    static void entry(void* unused);
    [[noreturn]] void body();
    void switch_to(int thread);
    void take_step(const operation& next);
    int decide();
    bool settle(int thread);
    bool drain_any();
    void drain_at_end();
    void drain_chosen(int thread);
    void drain_oldest(int thread);
    void drain_all(int thread);
    [[nodiscard]] bool ready(int thread);
    [[nodiscard]] bool could_become_ready(int thread);
    [[nodiscard]] mask touched_by_next(int thread) const noexcept;
    [[nodiscard]] bool has_news(int thread) const noexcept;
    std::uint8_t pick(event kind, const choice_point& among);
    std::uint8_t pick_replayed(event kind, const choice_point& among);
    bool backtrack();
    bool seen_before(int last, int chosen);
    [[nodiscard]] model_thread& of(int thread) noexcept { return threads_[static_cast<std::size_t>(thread)]; }
    [[nodiscard]] const model_thread& of(int thread) const noexcept
    {
        return threads_[static_cast<std::size_t>(thread)];
    }

    // -- steps.cpp
    word peek(std::uint32_t s, memory_order order, const place& at);
    void check_alive(std::uint32_t s, const place& at);

    // -- trace.cpp
    void fail(const std::string& what, const place* at);
    [[nodiscard]] std::string thread_name(int thread) const;
    [[nodiscard]] std::string slot_name(std::uint32_t s) const;
    /// A line of the trace; `thread` may be nobody. Callers make up `text` only while tracing_.
    void note(int thread, const std::string& text, const place* at);
    void finish_report();
    void note_positions();
    void shorten_trace();

    options how_;
    program program_;
    machine memory_;
    std::array<model_thread, max_threads> threads_;
    sys::context main_context_{};

    // Of the execution under way.
    stage stage_ = stage::off;
    outcome outcome_ = outcome::open;
    int current_ = nobody;
    int last_ = nobody;  ///< whose step was the last
    int preemptions_ = 0;
    int steps_ = 0;
    int peeking_ = nobody;   ///< whose predicate is being evaluated
    std::size_t depth_ = 0;  ///< in path_
    operation rmw_;          ///< the one between its two halves
    word rmw_value_ = 0;

    // Of the exploration.
    std::vector<choice_point> path_;
    state_set seen_;
    result result_;

    // Tracing and replay.
    bool tracing_ = false;
    std::vector<scheduled> events_;
    bool replaying_ = false;
    std::vector<scheduled> script_;
    std::size_t script_position_ = 0;
    std::vector<named_region> names_;
};

}  // namespace weft::model::detail
