#include "model/schedule.hpp"

#include <algorithm>

#include "model/machine.hpp"

namespace weft::model::detail {

std::string encode(const std::vector<scheduled>& events)
{
    std::string text;
    for (std::size_t i = 0; i < events.size();) {
        const scheduled e = events[i];
        std::size_t n = 1;
        if (e.kind == event::choice) {
            text += '=';
            text += static_cast<char>('0' + e.value);
        } else {
            while (i + n < events.size() && events[i + n].kind == e.kind && events[i + n].value == e.value)
                ++n;
            text += static_cast<char>((e.kind == event::thread ? 'a' : 'A') + e.value);
            if (n > 1)
                text += std::to_string(n);
        }
        i += n;
    }
    return text;
}

std::vector<scheduled> decode(std::string_view text)
{
    const auto digit = [&text](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
    std::vector<scheduled> events;
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i++];
        const bool thread = c >= 'a' && c < 'a' + max_threads;
        if (c == '=' && digit(i)) {
            events.push_back({event::choice, static_cast<std::uint8_t>(text[i++] - '0')});
        } else if (thread || (c >= 'A' && c < 'A' + max_threads)) {
            std::size_t n = 0;
            while (digit(i))
                n = n * 10 + static_cast<std::size_t>(text[i++] - '0');
            events.insert(events.end(), std::max<std::size_t>(n, 1),
                          {thread ? event::thread : event::drain, static_cast<std::uint8_t>(c - (thread ? 'a' : 'A'))});
        } else {
            misuse("malformed schedule");
        }
    }
    return events;
}

bool state_set::insert(std::uint64_t key, int left)
{
    if ((count_ + 1) * 5 > entries_.size() * 3)
        grow();
    entry& e = find(key);
    if (e.left > left)
        return false;
    if (e.left == 0)
        ++count_;
    e = {key, left + 1};
    return true;
}

state_set::entry& state_set::find(std::uint64_t key) noexcept
{
    std::size_t i = key & (entries_.size() - 1);
    while (entries_[i].left != 0 && entries_[i].key != key)
        i = (i + 1) & (entries_.size() - 1);
    return entries_[i];
}

void state_set::grow()
{
    std::vector<entry> old(entries_.empty() ? 1024 : entries_.size() * 2);
    old.swap(entries_);
    for (const entry& e : old)
        if (e.left != 0)
            find(e.key) = e;
}

}  // namespace weft::model::detail
