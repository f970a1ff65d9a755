# weft::dns: names through c-ares, where that is installed (Debian: libc-ares-dev). Linking it is all: net::lookup() and
# net::dial() then use it.

find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
    pkg_check_modules(CARES QUIET IMPORTED_TARGET libcares>=1.16)
endif()
if(NOT CARES_FOUND)
    message(STATUS "weft: c-ares not found (Debian: libc-ares-dev), weft::dns is not built")
    return()
endif()

add_library(weft_dns STATIC "${PROJECT_SOURCE_DIR}/src/dns/cares.cpp")
add_library(weft::dns ALIAS weft_dns)
target_include_directories(weft_dns PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(
    weft_dns
    PUBLIC weft::weft
    PRIVATE PkgConfig::CARES)
# Nobody calls it by name: without this the linker would leave it in the archive.
target_link_options(weft_dns INTERFACE LINKER:--undefined=weft_dns_installed)
set_target_properties(weft_dns PROPERTIES CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
weft_warnings(weft_dns)
weft_stack_probes(weft_dns)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(weft_dns PRIVATE -fcf-protection=none)
endif()
