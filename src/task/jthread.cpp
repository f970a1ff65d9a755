#include "weft/jthread.hpp"

#include "base/atomic.hpp"

namespace weft {

jthread::id jthread::next_id() noexcept
{
    static base::atomic<std::uint64_t> last{0};
    return id(last.fetch_add(1, base::memory_order_relaxed) + 1);
}

}  // namespace weft
