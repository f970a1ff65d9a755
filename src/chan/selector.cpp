// selector: select over a list that is put together at run time.
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

#include "weft/select.hpp"

namespace weft {

std::size_t selector::wait()
{
    std::vector<detail::select_case> cases;
    std::vector<std::size_t> positions;
    cases.reserve(entries_.size());
    positions.reserve(entries_.size());
    clock::time_point deadline = clock::time_point::max();
    std::size_t deadline_at = none;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        entry& e = *entries_[i];
        if (e.on_channel) {
            e.describe(cases.emplace_back());
            positions.push_back(i);
        } else if (i != default_at_) {
            const clock::time_point at =
                e.timeout == std::chrono::nanoseconds::max() ? e.deadline : detail::deadline_after(e.timeout);
            if (deadline_at == none || at < deadline) {
                deadline = at;
                deadline_at = i;
            }
        }
    }
    const std::size_t won = detail::select_run(cases, deadline.time_since_epoch(), default_at_ != none);
    std::exception_ptr failure;
    for (std::size_t i = 0; i < positions.size(); ++i) {
        if (i == won)
            continue;
        try {
            entries_[positions[i]]->not_chosen();
        } catch (...) {
            failure = std::current_exception();
        }
    }
    const bool on_channel = won < positions.size();
    const std::size_t at = on_channel ? positions[won] : won == detail::select_default ? default_at_ : deadline_at;
    const std::shared_ptr<entry> chosen = entries_[at];  // which its handler may take out of the selector
    chosen->chosen(!on_channel || cases[won].ok);
    if (failure)
        std::rethrow_exception(failure);
    return at;
}

void selector::refuse_second_default() const
{
    if (default_at_ != none)
        throw std::logic_error("weft::selector: only one otherwise() may be added");
}

}  // namespace weft
