// The report of a failure.
#include <cstdio>
#include <functional>
#include <ostream>
#include <string_view>

#include "model/explorer.hpp"

namespace weft::model {
namespace detail {

namespace {

std::string place_text(const place& at)
{
    const std::string_view file = at.file_name();
    return std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(at.line());
}

}  // namespace

std::string value_text(word value)
{
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), value < 100'000 ? "%llu" : "%#llx", static_cast<unsigned long long>(value));
    return text.data();
}

/// The first failure of an execution counts.
void explorer::fail(const std::string& what, const place* at)
{
    if (outcome_ == outcome::failed)
        return;
    outcome_ = outcome::failed;
    result_.what = what;
    if (at != nullptr)
        result_.what += " (" + place_text(*at) + ")";
    note(current_, "FAILS: " + what, at);
}

std::string explorer::thread_name(int thread) const
{
    if (thread == nobody)
        return "";
    std::string text(1, static_cast<char>('a' + thread));
    if (program_.thread_name != nullptr)
        text += std::string(" ") + program_.thread_name(thread);
    return text;
}

/// The name given to the object, with the number of the variable in it if it has several.
std::string explorer::slot_name(std::uint32_t s) const
{
    const auto within = [this](std::uint32_t i, const named_region& region)
    {
        const auto* const at = static_cast<const std::byte*>(memory_.at(i).at);
        return std::less_equal<>{}(region.begin, at) && std::less<>{}(at, region.begin + region.bytes);
    };
    for (const named_region& region : names_) {
        if (!within(s, region))
            continue;
        std::uint32_t before = 0;
        std::uint32_t all = 0;
        for (std::uint32_t i = 0; i < memory_.slots(); ++i) {
            all += within(i, region) ? 1U : 0U;
            before += i < s && within(i, region) ? 1U : 0U;
        }
        return all == 1 ? region.text : region.text + "." + std::to_string(before);
    }
    return "variable " + std::to_string(s);
}

void explorer::name(const void* begin, std::size_t bytes, const char* text, int number)
{
    if (tracing_)
        names_.push_back(
            {static_cast<const std::byte*>(begin), bytes, number < 0 ? text : text + std::to_string(number)});
}

void explorer::note(int thread, const std::string& text, const place* at)
{
    if (!tracing_)
        return;
    std::array<char, 300> line{};
    std::snprintf(line.data(), line.size(), "  %4d  %-12s %-60s %s\n", steps_, thread_name(thread).c_str(),
                  text.c_str(), at != nullptr ? place_text(*at).c_str() : "");
    result_.trace += line.data();
}

void explorer::note_positions()
{
    for (int i = 0; i < program_.threads; ++i) {
        const model_thread& t = of(i);
        const bool waits = t.next.kind == step::wait || t.next.kind == step::acquire;
        if (t.done)
            note(i, "has ended", nullptr);
        else
            note(i, waits ? "is at its wait" : "is before or at", &t.next.at);
    }
}

void explorer::finish_report()
{
    result_.failed = outcome_ == outcome::failed;
    result_.schedule = encode(events_);
    result_.preemptions = preemptions_;
    shorten_trace();
}

/// Of an endless execution the two ends tell enough.
void explorer::shorten_trace()
{
    constexpr std::size_t shown = 80;  // lines at each end
    std::string& text = result_.trace;
    std::vector<std::size_t> ends;
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
        ends.push_back(at);
    if (ends.size() > 2 * shown)
        text.replace(ends[shown], ends[ends.size() - shown] - ends[shown], "\n        ...");
}

}  // namespace detail

std::ostream& operator<<(std::ostream& os, const result& r)
{
    os << r.executions << " executions, " << r.states << " states, " << r.steps << " steps";
    if (!r.complete)
        os << ", not complete";
    if (!r.failed)
        return os << "\n";
    return os << "\nfailure with " << r.preemptions << " preemptions: " << r.what << "\n"
              << r.trace << "schedule: " << r.schedule << "\n";
}

}  // namespace weft::model
