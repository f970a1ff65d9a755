# The edges: libraries beside the core, each built where what it rests on is found.
#
#   weft::tls    OpenSSL 3 (Debian: libssl-dev); weft::tls_shared beside weft::shared
#   weft::asio   headers only, over Boost 1.81 or later (Debian 12: libboost1.81-dev)

# weft_add_tls(<target> STATIC|SHARED <core>)
function(weft_add_tls target kind core)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/tls/*.cpp")
    add_library(${target} ${kind} ${sources})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(
        ${target}
        PUBLIC ${core}
        PRIVATE OpenSSL::SSL)
    weft_warnings(${target})
    weft_stack_probes(${target})
    set_target_properties(
        ${target}
        PROPERTIES CXX_EXTENSIONS OFF
                   OUTPUT_NAME weft_tls
                   VERSION ${PROJECT_VERSION}
                   SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                   CXX_VISIBILITY_PRESET hidden
                   VISIBILITY_INLINES_HIDDEN ON)
    if(kind STREQUAL "SHARED" OR WEFT_STATIC_PIC)
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()
endfunction()

set(WEFT_EDGES "")
set(packages_allowed TRUE)
if(CMAKE_CROSSCOMPILING)
    # Packages of the machine that compiles are not those of the other one.
    set(packages_allowed FALSE)
endif()

if(packages_allowed)
    find_package(OpenSSL 3 QUIET)
endif()
if(OpenSSL_FOUND AND TARGET OpenSSL::SSL)
    weft_add_tls(weft_tls STATIC weft)
    add_library(weft::tls ALIAS weft_tls)
    set_target_properties(weft_tls PROPERTIES EXPORT_NAME tls)
    list(APPEND WEFT_EDGES weft_tls)
    if(WEFT_BUILD_SHARED)
        weft_add_tls(weft_tls_shared SHARED weft_shared)
        add_library(weft::tls_shared ALIAS weft_tls_shared)
        set_target_properties(weft_tls_shared PROPERTIES EXPORT_NAME tls_shared)
        list(APPEND WEFT_EDGES weft_tls_shared)
    endif()
else()
    message(STATUS "weft: weft::tls is left out: no OpenSSL 3 (Debian: libssl-dev)")
endif()

if(packages_allowed)
    find_path(WEFT_BOOST_INCLUDE boost/beast/version.hpp)
endif()
if(WEFT_BOOST_INCLUDE)
    file(STRINGS "${WEFT_BOOST_INCLUDE}/boost/version.hpp" boost_version REGEX "^#define BOOST_VERSION [0-9]+")
    string(REGEX MATCH "[0-9]+$" boost_version "${boost_version}")
endif()
if(WEFT_BOOST_INCLUDE AND boost_version GREATER_EQUAL 108100)
    add_library(weft_asio INTERFACE)
    add_library(weft::asio ALIAS weft_asio)
    target_link_libraries(weft_asio INTERFACE weft)
    target_include_directories(weft_asio SYSTEM INTERFACE "$<BUILD_INTERFACE:${WEFT_BOOST_INCLUDE}>")
    set_target_properties(weft_asio PROPERTIES EXPORT_NAME asio)
    list(APPEND WEFT_EDGES weft_asio)
else()
    message(STATUS "weft: weft::asio is left out: no Boost 1.81 or later (Debian 12: libboost1.81-dev)")
endif()
