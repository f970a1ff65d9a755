# The edges: libraries beside the core, each built where what it rests on is found. Those with a static and a shared form
# go with the core of that form.
#
#   weft::tls    OpenSSL 3 (Debian: libssl-dev); weft::tls_shared
#   weft::dns    c-ares 1.16 or later (Debian: libc-ares-dev, pkgconf); weft::dns_shared
#   weft::asio   headers only, over Boost 1.81 or later (Debian 12: libboost1.81-dev)

set(WEFT_EDGES "")
include(weftBoost)
find_package(PkgConfig QUIET)
# Packages of the machine that compiles are not those of the other one.
if(NOT CMAKE_CROSSCOMPILING)
    find_package(OpenSSL 3 QUIET)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(CARES QUIET IMPORTED_TARGET libcares>=1.16)
    endif()
    weft_find_boost()
endif()

# weft_add_edge(<name> <library> <link option>...): weft::<name> and, where the core is shared too, weft::<name>_shared,
# from src/<name>, over the library. The link options are for programs that link them.
function(weft_add_edge name library)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
    set(made "")
    foreach(kind IN ITEMS STATIC SHARED)
        set(suffix "")
        set(core weft)
        if(kind STREQUAL "SHARED")
            if(NOT WEFT_BUILD_SHARED)
                continue()
            endif()
            set(suffix _shared)
            set(core weft_shared)
        endif()
        set(target weft_${name}${suffix})
        weft_add_library(${target} ${kind} weft_${name} ${sources})
        add_library(weft::${name}${suffix} ALIAS ${target})
        target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
        target_link_libraries(
            ${target}
            PUBLIC ${core}
            PRIVATE ${library})
        target_link_options(${target} INTERFACE ${ARGN})
        if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
            target_compile_options(${target} PRIVATE -fcf-protection=none)  # as the core
        endif()
        set_target_properties(${target} PROPERTIES OUTPUT_NAME weft_${name} EXPORT_NAME ${name}${suffix})
        if(kind STREQUAL "SHARED")
            target_link_options(${target} PRIVATE LINKER:-z,defs LINKER:-z,nodelete)  # as the core
        endif()
        list(APPEND made ${target})
    endforeach()
    set(WEFT_EDGES ${WEFT_EDGES} ${made} PARENT_SCOPE)
endfunction()

if(OpenSSL_FOUND AND TARGET OpenSSL::SSL)
    weft_add_edge(tls OpenSSL::SSL)
else()
    message(STATUS "weft: weft::tls is left out: no OpenSSL 3 (Debian: libssl-dev)")
endif()

if(CARES_FOUND)
    # It puts itself in place by being linked, and nothing refers to it by name: without this a linker would leave it out,
    # the file of the archive or, where --as-needed is the linker's default, the shared library.
    weft_add_edge(dns PkgConfig::CARES LINKER:--undefined=weft_dns_installed LINKER:--no-as-needed)
else()
    message(STATUS "weft: weft::dns is left out: no c-ares 1.16 or later, or no pkg-config to find it (Debian: "
                   "libc-ares-dev, pkgconf)")
endif()

# Its header is installed in any case, and an installed weft looks for Boost by itself.
if(WEFT_BOOST_INCLUDE)
    add_library(weft_asio INTERFACE)
    add_library(weft::asio ALIAS weft_asio)
    target_link_libraries(weft_asio INTERFACE weft)
    target_include_directories(weft_asio SYSTEM INTERFACE "${WEFT_BOOST_INCLUDE}")
endif()
