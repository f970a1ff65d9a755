# weft_stack_probes(<target>...): functions of theirs, and of all that is linked with them, touch each page of a large
# frame in order, from the top, so that none can jump over the guard of a goroutine's stack.

set(WEFT_STACK_PROBES "$<$<COMPILE_LANGUAGE:C,CXX>:-fstack-clash-protection>")
set(WEFT_PC_STACK_PROBES -fstack-clash-protection)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    # GCC takes guards of 64 KiB for granted there, and leaves smaller frames without a probe: 2 ^ 12 instead. Clang does
    # not know the option.
    foreach(language C CXX)
        list(APPEND WEFT_STACK_PROBES
             "$<$<COMPILE_LANG_AND_ID:${language},GNU>:--param=stack-clash-protection-guard-size=12>")
    endforeach()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        string(APPEND WEFT_PC_STACK_PROBES " --param=stack-clash-protection-guard-size=12")
    endif()
endif()

function(weft_stack_probes)
    foreach(target IN LISTS ARGN)
        target_compile_options(${target} PUBLIC ${WEFT_STACK_PROBES})
    endforeach()
endfunction()
