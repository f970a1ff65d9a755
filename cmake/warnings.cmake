# weft_warnings(<target>): the warnings under which all of weft's own code is clean.

function(weft_warnings target)
    set(flags
        -Wall
        -Wextra
        -Wpedantic
        -Wshadow
        -Wconversion
        -Wsign-conversion
        -Wold-style-cast
        -Wcast-align
        -Wnon-virtual-dtor
        -Woverloaded-virtual
        -Wimplicit-fallthrough
        -Wextra-semi
        -Wformat=2
        -Wundef)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        list(APPEND flags -Wduplicated-cond -Wlogical-op)
        if(WEFT_SANITIZE)
            # GCC warns of its own instrumented code (its manual says so of sanitizers and this warning).
            list(APPEND flags -Wno-maybe-uninitialized)
        endif()
        if(WEFT_SANITIZE MATCHES "thread")
            # GCC says that TSan ignores atomic_thread_fence. The fences' protocols are checked by test/model instead.
            list(APPEND flags -Wno-tsan)
        endif()
    endif()
    if(WEFT_WERROR)
        list(APPEND flags -Werror)
    endif()
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
endfunction()
