# Sanitizers, and how test programs are started.
#
# WEFT_TEST_RUN       a script that runs a program with what it needs in this build: the sanitizers' options, an emulator
# WEFT_TEST_SLOWDOWN  factor by which time limits of tests are longer than natively
# WEFT_THREAD_SANITIZER_RUNS  whether programs with ThreadSanitizer start on this kernel as they are

set(WEFT_TEST_RUN "${PROJECT_BINARY_DIR}/test/run")
set(WEFT_TEST_SLOWDOWN 1)
set(environment "")
set(launcher ${CMAKE_CROSSCOMPILING_EMULATOR})
if(CMAKE_CROSSCOMPILING_EMULATOR)
    set(WEFT_TEST_SLOWDOWN 6)
    list(APPEND environment WEFT_TEST_SLOW=1)
endif()

# GCC 12's TSan refuses the address-space layouts that kernels with more than 28 random bits hand out.
set(WEFT_THREAD_SANITIZER_RUNS ON)
if(EXISTS /proc/sys/vm/mmap_rnd_bits)
    file(STRINGS /proc/sys/vm/mmap_rnd_bits random_bits LIMIT_COUNT 1)
    if(random_bits GREATER 28)
        set(WEFT_THREAD_SANITIZER_RUNS OFF)
    endif()
endif()

if(WEFT_SANITIZE)
    set(WEFT_TEST_SLOWDOWN 6)
    add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${WEFT_SANITIZE})
    # GCC warns of its own instrumented code (its manual says so of sanitizers and this warning).
    add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    list(
        APPEND
        environment
        ASAN_OPTIONS=abort_on_error=1:detect_stack_use_after_return=0:detect_leaks=1
        UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
        TSAN_OPTIONS=halt_on_error=1:abort_on_error=1:second_deadlock_stack=1:history_size=4:atexit_sleep_ms=50)
    if(WEFT_SANITIZE MATCHES "thread" AND NOT WEFT_THREAD_SANITIZER_RUNS)
        list(APPEND launcher setarch -R)
    endif()
endif()

list(JOIN environment " " environment)
list(JOIN launcher " " launcher)
file(CONFIGURE OUTPUT "${WEFT_TEST_RUN}" CONTENT "#!/bin/sh\nexec env ${environment} ${launcher} \"$@\"\n")
file(CHMOD "${WEFT_TEST_RUN}" FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                               WORLD_EXECUTE)
