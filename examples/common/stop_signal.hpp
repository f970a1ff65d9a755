// SIGTERM and SIGINT as the end of a context.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

#include "weft/weft.hpp"

/// A context that ends with the first SIGTERM or SIGINT. To be called before there are other threads, weft's too: they
/// inherit that the signals are blocked. The second signal then ends the process as usual.
inline weft::context until_stop_signal()
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    weft::cancel_context stop = weft::with_cancel(weft::background());
    weft::context seen = stop;
    std::thread(
        [signals, stop = std::move(stop)]() mutable
        {
            int signal = 0;
            sigwait(&signals, &signal);
            stop.cancel();
            pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
            sigwait(&signals, &signal);
            _exit(128 + signal);
        })
        .detach();
    return seen;
}
