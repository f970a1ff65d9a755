#include "rt/sched/scheduler.hpp"

namespace weft::rt {

constinit scheduler sched;

}  // namespace weft::rt
