// timer, ticker, after, after_func: docs/design/timers.md.
//
// Each arming makes a goroutine that has not started (rt/sched/deferred_goroutine.hpp); when the timer expires, that
// one starts and delivers: it sends to the channel, or calls the function. A goroutine that comes too late finds
// another generation and goes away.
//
// Two locks. `control` serialises stop() and reset() and may be held over a park; the delivering goroutine does not
// take it. `lock` guards the fields below it, is taken inside a section, and nothing that begins a section is done
// under it: so the send is outside, between delivering_ = true and false, and stop() waits for that before it takes a
// stale value out of the channel.
//
// One that was made in a testing::bubble belongs to it. What its deadline means is known there alone, so reset() and
// stop() elsewhere are errors; the end of the object is none, wherever it comes.
#include "weft/time.hpp"

#include <mutex>
#include <stdexcept>

#include "rt/rt.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace weft {

namespace detail {

namespace {

constexpr chan_element hidden_time() noexcept
{
    chan_element e = describe_element<clock::time_point>();
    e.hides_buffer = true;
    return e;
}
constexpr chan_element timed_element = hidden_time();

/// A channel with room for one value that looks unbuffered, as Go's timers have: nobody can tell when the value was
/// sent, since a stop or a reset takes it back.
struct timed_chan : chan<clock::time_point> {
    timed_chan() : chan(nullptr) { handle_ = chan_handle(chan_new(timed_element, 1)); }
};

/// A section with the lock held.
class locked {
public:
    explicit locked(sys::lock_word& lock) noexcept : self_(rt::begin_section()), lock_(lock) { lock_.lock(); }
    locked(const locked&) = delete;
    locked& operator=(const locked&) = delete;
    ~locked()
    {
        lock_.unlock();
        rt::end_section(self_);
    }
    [[nodiscard]] rt::m* section() const noexcept { return self_; }

private:
    rt::m* const self_;
    sys::lock_word& lock_;
};

/// The time of the first tick after `now` of those that came at `when` and come every `period`.
std::int64_t next_tick(std::int64_t when, std::int64_t period, std::int64_t now) noexcept
{
    const std::int64_t late = now > when ? now - when : 0;
    const std::int64_t step = (late / period + 1) * period;
    return step > rt::never - when ? rt::never : when + step;
}

}  // namespace

class timed {
public:
    timed(chan<clock::time_point> c, std::unique_ptr<timed_call> f, const void* started_at) noexcept
        : channel_(std::move(c)), call_(std::move(f)), started_at_(started_at)
    {
    }

    void retain() noexcept { refs_.fetch_add(1, base::memory_order_relaxed); }
    void release() noexcept
    {
        if (refs_.fetch_sub(1, base::memory_order_acq_rel) == 1)
            delete this;
    }
    [[nodiscard]] const chan<clock::time_point>& channel() const noexcept { return channel_; }

    /// What the timer's goroutine does.
    void deliver(std::uint64_t generation)
    {
        bool repeats;
        {
            const locked l(lock_);
            if (generation != generation_)
                return;
            repeats = period_ != 0;
            active_ = repeats;
            delivering_ = static_cast<bool>(channel_);
        }
        if (channel_)
            send(generation, repeats);
        else
            call_->run();
    }
    bool stop() noexcept
    {
        const std::lock_guard guard(control_);
        return take_back();
    }
    /// Throws std::logic_error unless the caller is where the timer was made.
    void check_bubble() const
    {
        const rt::bubble* const here = rt::callers_bubble();
        if (alarm_.belongs_to() == here) [[likely]]
            return;
        throw std::logic_error(
            here == nullptr
                ? "weft: a timer was reset or stopped outside of the testing::bubble in which it was made; it "
                  "follows that bubble's clock and can be used by the bubble's goroutines only"
                : "weft: a timer was reset or stopped in a testing::bubble in which it was not made; it "
                  "follows another clock: make it in the bubble in which it is used");
    }
    bool reset(std::int64_t deadline, std::int64_t period)
    {
        if (put_off(deadline, period))
            return true;
        const std::lock_guard guard(control_);
        rt::deferred_goroutine call = make_call(generation_ + 2);  // take_back() is one more
        const bool was = take_back();
        const locked l(lock_);
        ++generation_;
        active_ = true;
        when_ = deadline;
        period_ = period;
        alarm_.arm_in_section(l.section(), deadline, std::move(call));
        return was;
    }

private:
    ~timed() = default;

    rt::deferred_goroutine make_call(std::uint64_t generation)
    {
        retain();
        struct body {
            timed_ref self;
            std::uint64_t generation;
            void operator()() { self.get()->deliver(generation); }
        };
        return rt::deferred_goroutine::make(body{timed_ref(this), generation}, started_at_);
    }

    /// A reset as timeouts have it, most of which never fire: what waits to fire once fires later, and the goroutine
    /// that was made for it serves as well. While it is armed nothing is being delivered, and the channel is empty.
    bool put_off(std::int64_t deadline, std::int64_t period) noexcept
    {
        const locked l(lock_);
        if (period != 0 || period_ != 0 || !alarm_.put_off(deadline))
            return false;
        when_ = deadline;
        return true;
    }

    void send(std::uint64_t generation, bool repeats)
    {
        const clock::time_point now = clock::now();
        // Full: the value before was not received yet, and this one is dropped. The channel is never closed.
        (void)channel_.try_send(clock::time_point(now));
        rt::deferred_goroutine next;
        if (repeats)
            next = make_call(generation);
        const locked l(lock_);
        delivering_ = false;
        if (repeats && generation == generation_) {
            when_ = next_tick(when_, period_, now.time_since_epoch().count());
            alarm_.arm_in_section(l.section(), when_, std::move(next));
        }
    }

    /// Under control_: from here on nothing of before is delivered, and what was sent is taken out again. True: there
    /// was something to take back.
    bool take_back() noexcept
    {
        rt::deferred_goroutine dropped;
        bool was;
        bool sending;
        {
            const locked l(lock_);
            ++generation_;
            was = std::exchange(active_, false);
            dropped = alarm_.disarm();
            sending = delivering_;
        }
        // A goroutine that process exit has stopped does not finish.
        while (sending && !runtime_stopped()) {
            rt::yield();
            const locked l(lock_);
            sending = delivering_;
        }
        clock::time_point stale;
        return (channel_ && channel_.try_recv(stale) == chan_status::success) || was;
    }

    base::atomic<std::uint32_t> refs_{1};
    const chan<clock::time_point> channel_;  ///< nil: it calls a function
    const std::unique_ptr<timed_call> call_;
    const void* const started_at_;  ///< for reports of its goroutines
    mutex control_;

    sys::lock_word lock_;
    std::uint64_t generation_ = 0;  ///< written under both locks
    bool active_ = false;           ///< armed, or its goroutine is on the way
    bool delivering_ = false;       ///< a goroutine is between its two looks at the generation
    std::int64_t when_ = 0;
    std::int64_t period_ = 0;  ///< 0: fires once
    rt::spawn_timer alarm_;    ///< what it starts refers to this object
};

timed_ref::timed_ref(const timed_ref& other) noexcept : at_(other.at_)
{
    at_->retain();
}

timed_ref::~timed_ref()
{
    if (at_ != nullptr)
        at_->release();
}

timed_ref timed_send(clock::time_point deadline, std::chrono::nanoseconds period)
{
    timed_ref made(new timed(timed_chan(), nullptr, __builtin_return_address(0)));
    (void)timed_reset(*made.get(), deadline, period);
    return made;
}

timed_ref timed_run(clock::time_point deadline, std::unique_ptr<timed_call> call)
{
    timed_ref made(new timed(nullptr, std::move(call), __builtin_return_address(0)));
    (void)timed_reset(*made.get(), deadline, {});
    return made;
}

bool timed_reset(timed& t, clock::time_point deadline, std::chrono::nanoseconds period)
{
    t.check_bubble();
    return t.reset(deadline.time_since_epoch().count(), period.count());
}

bool timed_stop(timed& t)
{
    t.check_bubble();
    return t.stop();
}

void timed_end(timed* t) noexcept
{
    if (t != nullptr)
        (void)t->stop();
}

receiver<clock::time_point> timed_channel(const timed& t) noexcept
{
    return t.channel();
}

void throw_bad_period(const char* what)
{
    throw std::invalid_argument(what);
}

}  // namespace detail
}  // namespace weft
