# GTest::gtest and GTest::gtest_main: Debian's library for native builds; for cross builds and sanitizers built here
# from Debian's sources (package googletest, which libgtest-dev brings along). WEFT_GTEST_FOUND says whether.

set(WEFT_GTEST_FOUND TRUE)
if(NOT CMAKE_CROSSCOMPILING AND NOT WEFT_SANITIZE)
    find_package(GTest QUIET)
endif()
if(NOT TARGET GTest::gtest)
    set(googletest_dir /usr/src/googletest CACHE PATH "sources of GoogleTest")
    if(EXISTS "${googletest_dir}/CMakeLists.txt")
        set(BUILD_GMOCK OFF)
        set(INSTALL_GTEST OFF)
        add_subdirectory("${googletest_dir}" "${PROJECT_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL SYSTEM)
    else()
        set(WEFT_GTEST_FOUND FALSE)
    endif()
endif()
