// The waist: all that the layers above see of the scheduler. A facade: nothing inside rt/ includes it.
//
// Everything here works on goroutines and on plain threads, unless it says otherwise; a plain thread is represented by
// a g of its own and blocks where a goroutine parks.
#pragma once

#include "rt/core/biased_lock.hpp"
#include "rt/core/current.hpp"
#include "rt/core/explore.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/core/timer.hpp"
#include "rt/poll/netpoll.hpp"
#include "rt/report/panic.hpp"
#include "rt/report/stack_depth.hpp"
#include "rt/sched/deferred_goroutine.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/finish.hpp"
#include "rt/sched/hidden_frames.hpp"
#include "rt/sched/lock_thread.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/ready.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/yield.hpp"
#include "rt/services/bubble/bubble.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/services/hibernate/hibernator.hpp"
#include "rt/wait/cancel.hpp"
#include "rt/wait/poll_wait.hpp"
#include "rt/wait/sema.hpp"
#include "rt/wait/sema_wait.hpp"
#include "rt/wait/spawn_timer.hpp"
