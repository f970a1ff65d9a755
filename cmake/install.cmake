# Install rules: headers, libraries, the CMake package and the pkg-config files. All of them are relocatable.

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")
set(libraries weft ${WEFT_EDGES})
if(WEFT_BUILD_SHARED)
    list(APPEND libraries weft_shared)
    set_target_properties(weft_shared PROPERTIES EXPORT_NAME shared)
endif()
if(TARGET weft_debug)
    list(APPEND libraries weft_debug)
endif()
# All that `cmake --install` wants.
add_custom_target(weft_libraries DEPENDS ${libraries})

install(TARGETS ${libraries} EXPORT weftTargets)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/weft" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT weftTargets NAMESPACE weft:: DESTINATION "${package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/weftConfig.cmake.in" "${PROJECT_BINARY_DIR}/weftConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weftConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/weftConfig.cmake" "${PROJECT_BINARY_DIR}/weftConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/weftBoost.cmake"
        DESTINATION "${package_dir}")

# The pkg-config files name their prefix relative to themselves.
file(RELATIVE_PATH WEFT_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" WEFT_PC_PREFIX "${WEFT_PC_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/weft.pc.in" "${PROJECT_BINARY_DIR}/weft.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/weft.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# weft_install_pc(<name> <description> <packages for static linking> <libraries>): weft-<name>.pc, where there is weft_<name>.
function(weft_install_pc name pc_description pc_requires pc_libs)
    if(TARGET weft_${name})
        set(pc_name weft-${name})
        configure_file("${PROJECT_SOURCE_DIR}/cmake/weft-edge.pc.in" "${PROJECT_BINARY_DIR}/${pc_name}.pc" @ONLY)
        install(FILES "${PROJECT_BINARY_DIR}/${pc_name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
    endif()
endfunction()
weft_install_pc(tls "TLS for weft, over OpenSSL" "libssl, libcrypto" "-lweft_tls")
weft_install_pc(dns "names by c-ares for weft" "libcares" "-Wl,--push-state,--no-as-needed,--undefined=weft_dns_installed -lweft_dns -Wl,--pop-state")
weft_install_pc(debug "names and lines in weft's reports" "" "-Wl,--push-state,--no-as-needed,--undefined=weft_debug_symbolise -lweft_debug -Wl,--pop-state")
