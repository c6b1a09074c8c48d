# An overlay port that builds this source tree: vcpkg install hawser --overlay-ports=packaging/vcpkg/ports
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS feature_options
  FEATURES
    http HAWSER_HTTP
    spdlog HAWSER_SPDLOG
    testing HAWSER_TESTING
)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${feature_options}
    -DHAWSER_BUILD_TESTS=OFF
    -DHAWSER_BUILD_EXAMPLES=OFF
    -DHAWSER_BUILD_BENCH=OFF
    -DHAWSER_INSTALL=ON
    -DHAWSER_PCH=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/hawser)
vcpkg_fixup_pkgconfig()
if("testing" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES hawser-fault-server AUTO_CLEAN)
endif()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
