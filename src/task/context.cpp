// context: a tree of nodes that point to their parents; docs/design/context.md.
//
// A node is a cancel_node (it can end: with_cancel, with_deadline, a stop token) or a value_node. Every node holds a
// reference to its parent, for the values, and knows the nearest cancel_node from itself upwards (`scope`): that one
// answers done(), err() and the like. What derives from background() has no parent at all.
//
// A cancel_node below another one has a hook on that one's cancel_list. The hook does not hold a reference: the node
// takes it off before it goes away. Ending a node:
//   1. cancel_list::fire_all() decides who ends it. Its reason and its cause are set in one step (`record`). From then
//      on err() says so, and closes its channel before it does: whoever has seen the error finds done() closed.
//   2. Its hooks fire. Waiters are woken; child nodes are put on a list, with a reference, unless they are going away.
//   3. Its channel is closed, its stop source told, its timer disarmed, its own hook taken off its parent.
//   4. On with the next of that list: no recursion, however deep the tree is.
//
// Locks: cancel_list's (a leaf), and `late` (a leaf as well), which guards what is made by the first that asks.
#include "weft/context.hpp"

#include <string>

#include "base/list.hpp"
#include "rt/rt.hpp"
#include "weft/time.hpp"

namespace weft {

namespace {

class category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "weft.context"; }
    [[nodiscard]] std::string message(int e) const override
    {
        switch (static_cast<context_errc>(e)) {
            case context_errc::canceled:
                return "context canceled";
            case context_errc::deadline_exceeded:
                return "context deadline exceeded";
        }
        return "unknown error " + std::to_string(e);
    }
    [[nodiscard]] std::error_condition default_error_condition(int e) const noexcept override
    {
        switch (static_cast<context_errc>(e)) {
            case context_errc::canceled:
                return std::errc::operation_canceled;
            case context_errc::deadline_exceeded:
                return std::errc::timed_out;
        }
        return {e, *this};
    }
};

std::error_code error_of(rt::cancel_reason why) noexcept
{
    switch (why) {
        case rt::cancel_reason::canceled:
            return context_errc::canceled;
        case rt::cancel_reason::deadline_exceeded:
            return context_errc::deadline_exceeded;
        case rt::cancel_reason::none:
            break;
    }
    return {};
}

}  // namespace

const std::error_category& context_category() noexcept
{
    static const category it;
    return it;
}

namespace detail {

struct cancel_node;

struct context_node {
    base::atomic<std::uint64_t> refs{1};
    context_node* const parent;  ///< a reference; null: background
    cancel_node* const scope;    ///< this or an ancestor; null: can't end
    context_value* const value;  ///< null: none

    context_node(context_node* p, cancel_node* s, context_value* v) noexcept : parent(p), scope(s), value(v)
    {
        if (parent != nullptr)
            context_retain(parent);
    }
    context_node(const context_node&) = delete;
    context_node& operator=(const context_node&) = delete;
    virtual ~context_node() = default;
};

struct value_node final : context_node {
    value_node(context_node* p, context_value& v) noexcept : context_node(p, p == nullptr ? nullptr : p->scope, &v) {}
    ~value_node() override { value->destroy(*value); }
};

/// Nodes that one call of end() has still to end; it holds a reference to each.
struct ending;

/// As a hook, what its parent's list tells of its end.
struct cancel_node : context_node, rt::cancel_hook {
    rt::cancel_list list;
    cancel_node* const above;     ///< the next one that can end; null: none
    const std::int64_t deadline;  ///< ns; rt::never: none
    std::exception_ptr cause;     ///< written by `record`, read when list.reason() says so
    ending* collects = nullptr;   ///< by who ends it: where its children go
    cancel_node* next_ending = nullptr;

    sys::lock_word late;
    chan<std::monostate> done{nullptr};       ///< guarded by late; nil until somebody asks
    bool done_closed = false;                 ///< guarded by late
    std::stop_source stop{std::nostopstate};  ///< guarded by late; without a state until somebody asks

    cancel_node(context_node* p, std::int64_t when) noexcept
        : context_node(p, this, nullptr), above(p == nullptr ? nullptr : p->scope), deadline(when)
    {
        fire = &end_later;
    }
    ~cancel_node() override
    {
        if (above != nullptr)
            above->list.remove(*this);
    }
    /// Once, after it has ended: lets go of what could have ended it.
    virtual void let_go() noexcept {}

    [[nodiscard]] bool try_retain() noexcept
    {
        std::uint64_t seen = refs.load(base::memory_order_relaxed);
        do {
            if (seen == 0)
                return false;
        } while (!refs.compare_exchange_weak(seen, seen + 1, base::memory_order_relaxed, base::memory_order_relaxed));
        return true;
    }
    static void end_later(rt::cancel_hook& hook) noexcept;

    /// Under `late`: closes `done` if the node has ended. Closing parks nowhere.
    void close_done_if_ended() noexcept
    {
        if (!done || done_closed || list.reason() == rt::cancel_reason::none)
            return;
        done_closed = true;
        done.close();
    }
    /// list.reason(), for users: `done` is closed when it is not none.
    [[nodiscard]] rt::cancel_reason reason() noexcept
    {
        const rt::cancel_reason why = list.reason();
        if (why != rt::cancel_reason::none) {
            const rt::no_explore_points keep_turn;
            late.lock();
            close_done_if_ended();
            late.unlock();
        }
        return why;
    }
    void tell_users() noexcept;
};

struct ending {
    base::fifo<cancel_node, &cancel_node::next_ending> nodes;
};

void cancel_node::end_later(rt::cancel_hook& hook) noexcept
{
    auto& self = static_cast<cancel_node&>(hook);
    if (self.try_retain())
        self.above->collects->nodes.push_back(&self);
}

void cancel_node::tell_users() noexcept
{
    const rt::no_explore_points keep_turn;  // nor may a callback of a stop_token park
    late.lock();
    close_done_if_ended();
    std::stop_source stopping = stop;
    late.unlock();
    (void)stopping.request_stop();
}

namespace {

void end(cancel_node& root, rt::cancel_reason why, const std::exception_ptr& cause) noexcept
{
    struct record {
        ending to_end;
        const std::exception_ptr& cause;
        cancel_node* node;
        static void set(void* argument) noexcept
        {
            auto& self = *static_cast<record*>(argument);
            self.node->cause = self.cause;
            self.node->collects = &self.to_end;
        }
    } r{{}, cause, &root};
    for (; r.node != nullptr; r.node = r.to_end.nodes.pop_front()) {
        if (r.node->list.fire_all(why, &record::set, &r)) {
            r.node->tell_users();
            r.node->let_go();
            if (r.node->above != nullptr)
                r.node->above->list.remove(*r.node);
        }
        if (r.node != &root)
            context_release(r.node);
    }
}

/// Below its parent, or ended with it.
void attach(cancel_node& n) noexcept
{
    if (n.above == nullptr)
        return;
    if (!n.above->list.add(n))
        end(n, n.above->list.reason(), n.above->cause);
    else if (n.list.reason() != rt::cancel_reason::none)
        n.above->list.remove(n);  // its deadline has passed meanwhile
}

/// A reference.
class node_ref {
public:
    /// Takes the reference over.
    explicit node_ref(cancel_node* n) noexcept : at_(n) {}
    node_ref(node_ref&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    node_ref& operator=(node_ref&&) = delete;
    ~node_ref()
    {
        if (at_ != nullptr)
            context_release(at_);
    }
    [[nodiscard]] cancel_node& operator*() const noexcept { return *at_; }

private:
    cancel_node* at_;
};

struct deadline_node final : cancel_node {
    rt::spawn_timer alarm;  ///< disarmed by who ends the node, and by nobody else

    using cancel_node::cancel_node;
    void let_go() noexcept override { (void)alarm.disarm(); }
    void arm(const void* started_at)
    {
        struct expire {
            node_ref node;
            void operator()() const { end(*node, rt::cancel_reason::deadline_exceeded, nullptr); }
        };
        context_retain(this);
        rt::deferred_goroutine call = rt::deferred_goroutine::make(expire{node_ref(this)}, started_at);
        rt::m* const self = rt::begin_section();
        alarm.arm_in_section(self, deadline, std::move(call));
        rt::end_section(self);
    }
};

struct token_node final : cancel_node {
    struct relay {
        token_node* node;
        void operator()() const noexcept
        {
            if (!node->try_retain())
                return;  // going away: its destructor waits for us
            const node_ref keep(node);
            const rt::no_explore_points keep_turn;  // a stop_callback's end waits for this thread
            end(*node, rt::cancel_reason::canceled, nullptr);
        }
    };
    std::optional<std::stop_callback<relay>> callback;

    explicit token_node(const std::stop_token& token) : cancel_node(nullptr, rt::never)
    {
        callback.emplace(token, relay{this});
    }
};

}  // namespace

void context_retain(context_node* n) noexcept
{
    n->refs.fetch_add(1, base::memory_order_relaxed);
}

void context_release(context_node* n) noexcept
{
    while (n != nullptr && n->refs.fetch_sub(1, base::memory_order_acq_rel) == 1) {
        context_node* const up = n->parent;
        delete n;
        n = up;
    }
}

context_node* context_with_value(context_node* parent, context_value& value)
{
    return new value_node(parent, value);
}

const void* context_find(const context_node* n, const void* key) noexcept
{
    for (; n != nullptr; n = n->parent)
        if (n->value != nullptr && n->value->key == key)
            return n->value->value;
    return nullptr;
}

rt::cancel_list* cancel_list_of(const context& ctx) noexcept
{
    return ctx.node_ == nullptr || ctx.node_->scope == nullptr ? nullptr : &ctx.node_->scope->list;
}

}  // namespace detail

namespace {

detail::cancel_node* scope_of(const detail::context_node* n) noexcept
{
    return n == nullptr ? nullptr : n->scope;
}

std::exception_ptr as_exception(std::error_code e) noexcept
{
    try {
        throw std::system_error(e);
    } catch (...) {
        return std::current_exception();  // or std::bad_alloc
    }
}

}  // namespace

context::context(const std::stop_token& token)
{
    if (token.stop_possible())
        node_ = new detail::token_node(token);
}

receiver<std::monostate> context::done() const
{
    detail::cancel_node* const n = scope_of(node_);
    if (n == nullptr)
        return {};
    n->late.lock();
    chan<std::monostate> c = n->done;
    n->late.unlock();
    if (c)
        return c;
    chan<std::monostate> fresh;
    n->late.lock();
    if (!n->done)
        std::swap(n->done, fresh);
    c = n->done;
    {
        const rt::no_explore_points keep_turn;
        n->close_done_if_ended();
    }
    n->late.unlock();
    return c;
}

std::error_code context::err() const noexcept
{
    detail::cancel_node* const n = scope_of(node_);
    return n == nullptr ? std::error_code() : error_of(n->reason());
}

std::exception_ptr context::cause() const noexcept
{
    detail::cancel_node* const n = scope_of(node_);
    const rt::cancel_reason why = n == nullptr ? rt::cancel_reason::none : n->reason();
    if (why == rt::cancel_reason::none)
        return nullptr;
    return n->cause != nullptr ? n->cause : as_exception(error_of(why));
}

std::optional<clock::time_point> context::deadline() const noexcept
{
    const detail::cancel_node* const n = scope_of(node_);
    if (n == nullptr || n->deadline == rt::never)
        return std::nullopt;
    return clock::time_point(clock::duration(n->deadline));
}

std::stop_token context::stop_token() const
{
    detail::cancel_node* const n = scope_of(node_);
    if (n == nullptr)
        return {};
    n->late.lock();
    std::stop_source source = n->stop;
    n->late.unlock();
    if (source.stop_possible())
        return source.get_token();
    std::stop_source fresh;
    n->late.lock();
    if (!n->stop.stop_possible())
        n->stop.swap(fresh);
    source = n->stop;
    n->late.unlock();
    if (n->list.reason() != rt::cancel_reason::none)
        (void)source.request_stop();
    return source.get_token();
}

cancel_context with_cancel(const context& parent)
{
    const detail::cancel_node* const above = scope_of(parent.node_);
    auto* const made = new detail::cancel_node(parent.node_, above == nullptr ? rt::never : above->deadline);
    detail::attach(*made);
    return cancel_context(made);
}

cancel_context with_deadline(const context& parent, clock::time_point deadline)
{
    const std::int64_t when = deadline.time_since_epoch().count();
    const detail::cancel_node* const above = scope_of(parent.node_);
    if (when == rt::never || (above != nullptr && above->deadline <= when))
        return with_cancel(parent);  // that one's end comes first
    auto* const made = new detail::deadline_node(parent.node_, when);
    cancel_context c(made);
    // Below a parent that has ended it ends with that, by attach().
    if (above == nullptr || above->list.reason() == rt::cancel_reason::none) {
        if (deadline <= clock::now())
            detail::end(*made, rt::cancel_reason::deadline_exceeded, nullptr);
        else
            made->arm(__builtin_return_address(0));
    }
    detail::attach(*made);
    return c;
}

void cancel_context::cancel(std::exception_ptr cause) noexcept
{
    if (node_ != nullptr)
        detail::end(*scope_of(node_), rt::cancel_reason::canceled, cause);
}

// --- sleeping

namespace {

/// The steps are at the head of rt/wait/cancel.hpp.
struct sleeper : rt::deadline_wait, rt::cancel_hook {
    enum : std::uint32_t { open, parked, by_deadline, by_cancel };
    base::atomic<std::uint32_t> word{open};

    explicit sleeper(std::int64_t when)
    {
        waiter = rt::current();
        alarm.when = when;
        alarm.expire = [](rt::timer& t) noexcept -> rt::g*
        {
            auto& self = static_cast<sleeper&>(of_alarm(t));
            std::uint32_t seen = parked;
            if (!self.word.compare_exchange_strong(seen, by_deadline, base::memory_order_relaxed))
                return nullptr;
            self.timed_out = true;
            return self.waiter;
        };
        publish = [](rt::deadline_wait& wait) noexcept
        {
            std::uint32_t seen = open;
            // Release: whoever finds us parked finds our saved context.
            return static_cast<sleeper&>(wait).word.compare_exchange_strong(seen, parked, base::memory_order_release,
                                                                            base::memory_order_relaxed);
        };
        fire = [](rt::cancel_hook& hook) noexcept
        {
            auto& self = static_cast<sleeper&>(hook);
            std::uint32_t seen = open;
            while (!self.word.compare_exchange_strong(seen, by_cancel, base::memory_order_acquire,
                                                      base::memory_order_acquire))
                if (seen == by_deadline)
                    return;
            if (seen == parked)
                rt::ready(self.waiter);
        };
    }
};

}  // namespace

std::error_code sleep_until(clock::time_point deadline, const context& ctx)
{
    rt::cancel_list* const list = detail::cancel_list_of(ctx);
    if (list == nullptr) {
        sleep_until(deadline);
        return {};
    }
    if (list->reason() != rt::cancel_reason::none || deadline <= clock::now())
        return ctx.err();
    sleeper me(deadline.time_since_epoch().count());
    if (!list->add(me))
        return ctx.err();
    const bool canceled = rt::park_until(me, rt::wait_reason::sleep);
    list->remove(me);
    return canceled ? ctx.err() : std::error_code();
}

}  // namespace weft
