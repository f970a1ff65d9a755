# weft_add_library(<target> STATIC|SHARED <twin> <source>...): a shared library takes the objects of its static twin
# where they are position-independent, so that each file is compiled once.
function(weft_add_library target kind twin)
    if(kind STREQUAL "SHARED" AND WEFT_STATIC_PIC)
        add_library(${target} SHARED $<TARGET_OBJECTS:${twin}>)
        set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
    else()
        add_library(${target} ${kind} ${ARGN})
    endif()
    set_target_properties(
        ${target}
        PROPERTIES CXX_EXTENSIONS OFF
                   VERSION ${PROJECT_VERSION}
                   # Below 1.0 each minor version has an ABI of its own.
                   SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                   CXX_VISIBILITY_PRESET hidden
                   VISIBILITY_INLINES_HIDDEN ON)
    if(kind STREQUAL "SHARED" OR WEFT_STATIC_PIC)
        # No symbol of ours is replaced at load time. What this costs a program over -fPIE is one instruction, without an
        # access to memory, where a thread-local is read: 1 to 2.4 % of the instructions of a channel, a select, a park
        # or a spawn, nothing of a mutex or of a counter (tools/icount.py).
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
        target_compile_options(${target} PRIVATE -fno-semantic-interposition)
    else()
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
        target_compile_options(${target} PRIVATE -fPIE)
    endif()
    weft_warnings(${target})
    weft_stack_probes(${target})
endfunction()

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
    weft_add_library(${target} ${kind} weft ${WEFT_CORE_SOURCES})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME weft)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_include_directories(
        ${target}
        PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
        PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(${target} PUBLIC Threads::Threads)
    if(kind STREQUAL "STATIC" AND WEFT_PRECOMPILE STREQUAL "all" OR kind STREQUAL "SHARED" AND NOT WEFT_STATIC_PIC)
        weft_precompile(${target})
    endif()
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

    if(kind STREQUAL "SHARED")
        set(map "${PROJECT_SOURCE_DIR}/cmake/weft.map")
        set_target_properties(${target} PROPERTIES LINK_DEPENDS "${map}")
        target_link_options(
            ${target}
            PRIVATE
            "LINKER:--version-script=${map}"
            LINKER:-z,defs
            LINKER:-z,relro
            LINKER:-z,now
            # The runtime's threads run code of the library until the process exits: dlclose() must not unmap it.
            LINKER:-z,nodelete)
    else()
        # So must it not a shared library that has libweft.a in it.
        target_link_options(${target} INTERFACE
                            $<$<IN_LIST:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY$<SEMICOLON>MODULE_LIBRARY>:LINKER:-z,nodelete>)
    endif()
endfunction()
