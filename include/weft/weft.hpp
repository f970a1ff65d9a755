// All of weft's public headers.
#pragma once

#include "weft/chan.hpp"
#include "weft/clock.hpp"
#include "weft/context.hpp"
#include "weft/debug.hpp"
#include "weft/fs.hpp"
#include "weft/future.hpp"
#include "weft/go.hpp"
#include "weft/group.hpp"
#include "weft/io.hpp"
#include "weft/jthread.hpp"
#include "weft/local.hpp"
#include "weft/net.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"
