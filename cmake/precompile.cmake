# weft_precompile(<target> [<header>...]): the standard library's headers that most of our files include, and those given,
# are compiled once for the whole target. They are most of the time that a file of the core takes, and a third of a
# test's. Nothing of weft's is among them: each change would compile it again for everybody.
#
# weft_precompiled(<target> <other>): the target uses what <other> has precompiled; both have the same options.
#
# Both do nothing without WEFT_PRECOMPILE. The presets have 'all', but `release` compiles libweft.a without: there it shows
# when a file includes too little.

function(weft_precompile target)
    if(WEFT_PRECOMPILE)
        target_precompile_headers(
            ${target}
            PRIVATE
            <algorithm>
            <array>
            <atomic>
            <chrono>
            <functional>
            <memory>
            <mutex>
            <optional>
            <stdexcept>
            <string>
            <system_error>
            <thread>
            <vector>
            ${ARGN})
        weft_precompiled_warnings(${target})
    endif()
endfunction()

function(weft_precompiled target other)
    if(WEFT_PRECOMPILE)
        target_precompile_headers(${target} REUSE_FROM ${other})
        weft_precompiled_warnings(${target})
    endif()
endfunction()

# GCC 12 warns of libstdc++'s own strings, vectors and optionals when they were precompiled.
function(weft_precompiled_warnings target)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        target_compile_options(${target} PRIVATE -Wno-stringop-overflow -Wno-maybe-uninitialized -Wno-restrict
                                                 -Wno-array-bounds)
    endif()
endfunction()
