// Code written for std::jthread, with three lines changed: a cache whose entries expire, kept clean by a thread of its
// own that stops by its stop token. With weft::jthread that thread is a goroutine, and a thousand such caches are
// cheap.
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

using jthread = weft::jthread;  // was: std::jthread

class cache {
public:
    using clock = std::chrono::steady_clock;

    cache() : cleaner_([this](const std::stop_token& stop) { clean(stop); }) {}

    void put(const std::string& key, std::string value, clock::duration lives)
    {
        const std::lock_guard hold(guard_);
        entries_[key] = {std::move(value), clock::now() + lives};
    }

    [[nodiscard]] std::size_t size() const
    {
        const std::lock_guard hold(guard_);
        return entries_.size();
    }

private:
    struct entry {
        std::string value;
        clock::time_point expires;
    };

    void clean(const std::stop_token& stop)
    {
        while (!stop.stop_requested()) {
            weft::sleep_for(5ms);  // was: std::this_thread::sleep_for, which would hold an OS thread
            const std::lock_guard hold(guard_);
            std::erase_if(entries_, [now = clock::now()](const auto& e) { return e.second.expires <= now; });
        }
    }

    mutable weft::mutex guard_;  // was: std::mutex
    std::map<std::string, entry> entries_;
    jthread cleaner_;  // last: it stops and is joined before the entries go
};

}  // namespace

int main()
{
    return weft::run(
        []
        {
            std::vector<std::unique_ptr<cache>> caches;
            for (int i = 0; i < 1'000; ++i) {
                caches.push_back(std::make_unique<cache>());
                caches.back()->put("short", "gone in a moment", 10ms);
                caches.back()->put("long", "here to stay", 1h);
            }
            const auto entries = [&]
            {
                std::size_t sum = 0;
                for (const auto& c : caches)
                    sum += c->size();
                return sum;
            };

            std::printf("%zu caches, %zu entries\n", caches.size(), entries());
            while (entries() > caches.size())
                weft::sleep_for(10ms);
            std::printf("a moment later: %zu entries\n", entries());
            return entries() == caches.size() ? 0 : 1;
        });
}
