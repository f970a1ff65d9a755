# weft::debug, libweft_debug.so: names, files and lines in reports, and WEFT_DEBUG=locks. Built where elfutils' libdw is
# found (Debian: libdw-dev). A program that links it, or has it in LD_PRELOAD, needs nothing else: the core finds it by
# name at run time.

if(NOT CMAKE_CROSSCOMPILING AND NOT WEFT_SANITIZE)
    find_package(PkgConfig QUIET)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(LIBDW QUIET IMPORTED_TARGET libdw)
    endif()
endif()
if(NOT LIBDW_FOUND)
    message(STATUS "weft: weft::debug is left out: no libdw, or no pkg-config to find it (Debian: libdw-dev, pkgconf), "
                   "or a build with sanitizers or for another machine")
    return()
endif()

file(GLOB WEFT_DEBUG_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/debug/*.cpp")
add_library(weft_debug SHARED ${WEFT_DEBUG_SOURCES})
add_library(weft::debug ALIAS weft_debug)
target_compile_features(weft_debug PRIVATE cxx_std_20)
target_include_directories(weft_debug PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(weft_debug PRIVATE PkgConfig::LIBDW Threads::Threads)
# Nothing in the program refers to it: without this a linker that leaves out what is not needed leaves it out.
target_link_options(weft_debug INTERFACE LINKER:--undefined=weft_debug_symbolise LINKER:--no-as-needed)
target_link_options(weft_debug PRIVATE LINKER:-z,defs)
weft_warnings(weft_debug)
weft_stack_probes(weft_debug)
set_target_properties(
    weft_debug
    PROPERTIES CXX_EXTENSIONS OFF
               EXPORT_NAME debug
               VERSION ${PROJECT_VERSION}
               SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON)
