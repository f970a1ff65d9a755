# weft_find_boost(): sets WEFT_BOOST_INCLUDE to the folder of Boost's headers; to false where they are missing or older than
# 1.81. For the build of weft, and installed for find_package(weft).

function(weft_find_boost)
    find_path(WEFT_BOOST_INCLUDE_DIR boost/beast/version.hpp)
    mark_as_advanced(WEFT_BOOST_INCLUDE_DIR)
    set(found FALSE)
    if(WEFT_BOOST_INCLUDE_DIR)
        file(STRINGS "${WEFT_BOOST_INCLUDE_DIR}/boost/version.hpp" version REGEX "^#define BOOST_VERSION [0-9]+")
        string(REGEX MATCH "[0-9]+$" version "${version}")
        if(version GREATER_EQUAL 108100)
            set(found "${WEFT_BOOST_INCLUDE_DIR}")
        endif()
    endif()
    set(WEFT_BOOST_INCLUDE "${found}" PARENT_SCOPE)
endfunction()
