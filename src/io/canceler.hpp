// Ends what waits on an fd when a context ends.
#pragma once

#include "io/fd.hpp"
#include "weft/context.hpp"

namespace weft::io {

/// While it lives, the end of `ctx` makes the deadline of one side pass: calls end with ETIMEDOUT, and ctx.err() says
/// why. The fd outlives it.
class canceler : rt::cancel_hook {
public:
    canceler(const context& ctx, fd& f, poll_side s) noexcept
        : fd_(f), side_(s), list_(weft::detail::cancel_list_of(ctx))
    {
        fire = [](rt::cancel_hook& hook) noexcept { static_cast<canceler&>(hook).give_up(); };
        if (list_ != nullptr && !list_->add(*this))
            give_up();
    }
    canceler(const canceler&) = delete;
    canceler& operator=(const canceler&) = delete;
    ~canceler()
    {
        if (list_ != nullptr)
            list_->remove(*this);
    }

private:
    void give_up() noexcept { fd_.set_deadline(side_, 0); }

    fd& fd_;
    poll_side side_;
    rt::cancel_list* list_;
};

}  // namespace weft::io
