// Synchronisation, a header a thing; all of them for goroutines and plain threads in any mix.
#pragma once

#include "weft/barrier.hpp"
#include "weft/condition_variable.hpp"
#include "weft/latch.hpp"
#include "weft/mutex.hpp"
#include "weft/once.hpp"
#include "weft/pool.hpp"
#include "weft/semaphore.hpp"
#include "weft/shared_mutex.hpp"
#include "weft/wait_group.hpp"
