# weft_add_core(<target> STATIC|SHARED): the runtime, from all of src/. Folders of edges (src/debug, src/hook, src/dns,
# src/tls) are targets of their own and not part of it.

file(GLOB_RECURSE WEFT_CORE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp" "${PROJECT_SOURCE_DIR}/src/*.S")
list(FILTER WEFT_CORE_SOURCES EXCLUDE REGEX "/src/(debug|hook|dns|tls)/")
if(WEFT_CORE_SOURCES MATCHES "\\.S(;|$)")
    enable_language(ASM)
endif()

# Its assembly names a function of the same file, which link-time optimisation would put elsewhere. (Headers that were
# precompiled with other options do not fit.)
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/sys/context.cpp" PROPERTIES COMPILE_OPTIONS -fno-lto
                                                                                   SKIP_PRECOMPILE_HEADERS ON)

function(weft_add_core target kind)
    add_library(${target} ${kind} ${WEFT_CORE_SOURCES})
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_include_directories(
        ${target}
        PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
        PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(${target} PUBLIC Threads::Threads)
    weft_warnings(${target})
    weft_stack_probes(${target})
    if(WEFT_PRECOMPILE STREQUAL "all" OR kind STREQUAL "SHARED")
        weft_precompile(${target})
    endif()

    set_target_properties(
        ${target}
        PROPERTIES CXX_EXTENSIONS OFF
                   OUTPUT_NAME weft
                   VERSION ${PROJECT_VERSION}
                   # Below 1.0 each minor version has an ABI of its own.
                   SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                   CXX_VISIBILITY_PRESET hidden
                   VISIBILITY_INLINES_HIDDEN ON)
    target_compile_options(
        ${target}
        PRIVATE # Thread-locals at a fixed offset from the thread pointer also in libweft.so: no call of __tls_get_addr.
                -ftls-model=initial-exec
                # Calls into libc go through the GOT, without the jump over a PLT stub.
                -fno-plt
                # Exceptions, gdb and perf walk through every frame of ours.
                -fasynchronous-unwind-tables)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        # A goroutine switch changes the stack without the shadow stack (CET) knowing. Without the property note in our
        # objects the linker leaves the note off the whole program, and the kernel then runs it without shadow stacks.
        target_compile_options(${target} PRIVATE -fcf-protection=none)
    endif()

    if(kind STREQUAL "SHARED" OR WEFT_STATIC_PIC)
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    else()
        # Executables are position-independent on today's systems. -fPIE fits them and, unlike -fPIC, assumes that no
        # symbol of ours is replaced at load time.
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
        target_compile_options(${target} PRIVATE -fPIE)
    endif()
    if(kind STREQUAL "SHARED")
        set(map "${PROJECT_SOURCE_DIR}/cmake/weft.map")
        set_target_properties(${target} PROPERTIES LINK_DEPENDS "${map}")
        target_compile_options(${target} PRIVATE -fno-semantic-interposition)
        target_link_options(
            ${target}
            PRIVATE
            "LINKER:--version-script=${map}"
            LINKER:-z,defs
            LINKER:-z,relro
            LINKER:-z,now
            # The runtime's threads run code of the library until the process exits: dlclose() must not unmap it.
            LINKER:-z,nodelete)
    endif()
endfunction()
