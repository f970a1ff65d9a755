#include "default_stack.hpp"

#include <pthread.h>

#include <system_error>

namespace million {

namespace {

void require(int error, const char* what)
{
    if (error != 0)
        throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

std::uint64_t use_thread_stack(std::uint64_t bytes)
{
    pthread_attr_t attributes;
    require(pthread_getattr_default_np(&attributes), "pthread_getattr_default_np");
    if (bytes != 0) {
        require(pthread_attr_setstacksize(&attributes, bytes), "pthread_attr_setstacksize");
        require(pthread_setattr_default_np(&attributes), "pthread_setattr_default_np");
    }
    std::size_t size = 0;
    require(pthread_attr_getstacksize(&attributes, &size), "pthread_attr_getstacksize");
    pthread_attr_destroy(&attributes);
    return size;
}

}  // namespace million
