# weft_stack_probes(<target>...): their functions touch each page of a large frame in order, from the top, so that none
# can jump over the guard of a goroutine's stack, which may be as small as one page.

set(WEFT_STACK_PROBES -fstack-clash-protection)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    # GCC takes guards of 64 KiB for granted there: 2 ^ 12 instead.
    list(APPEND WEFT_STACK_PROBES --param=stack-clash-protection-guard-size=12)
endif()

function(weft_stack_probes)
    foreach(target IN LISTS ARGN)
        target_compile_options(${target} PRIVATE ${WEFT_STACK_PROBES})
    endforeach()
endfunction()
