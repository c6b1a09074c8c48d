# Installs one export set a component, so that find_package(hawser COMPONENTS ...) asks only for
# what those components stand on.
#
# Components of the installation: each library's own name for what programs are built with, and
# "runtime" for what they are run with, the shared libraries. Static libraries need no runtime. What
# tests are run with, hawser::testing's shared library and the fault server's program, is in
# "testing_runtime": no service needs it.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hawser)

get_property(libraries GLOBAL PROPERTY HAWSER_LIBRARIES)
foreach(library IN LISTS libraries)
  get_target_property(component ${library} EXPORT_NAME)
  set(runtime runtime)
  if(component STREQUAL "testing")
    set(runtime testing_runtime)
  endif()
  install(TARGETS ${library} EXPORT hawser-${component}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${runtime}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${runtime}
            NAMELINK_COMPONENT ${component}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${component}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT ${component})
  install(EXPORT hawser-${component} NAMESPACE hawser:: DESTINATION ${config_dir}
    FILE hawser-${component}.cmake COMPONENT ${component})
  # For find_package(hawser) on the build tree: hawser_DIR=<build tree>.
  export(EXPORT hawser-${component} NAMESPACE hawser::
    FILE ${PROJECT_BINARY_DIR}/hawser-${component}.cmake)
endforeach()

if(HAWSER_FAULT_SERVER)
  # Its libraries are found wherever the whole is moved to.
  file(RELATIVE_PATH to_libraries ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(hawser-fault-server PROPERTIES INSTALL_RPATH "$ORIGIN/${to_libraries}")
  install(TARGETS hawser-fault-server
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT testing_runtime)
endif()

# Which kind was installed decides what a program that links it needs.
get_target_property(library_kind hawser_core TYPE)
if(library_kind STREQUAL "SHARED_LIBRARY")
  set(HAWSER_INSTALLED_SHARED ON)
else()
  set(HAWSER_INSTALLED_SHARED OFF)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hawserConfig.cmake.in
  ${PROJECT_BINARY_DIR}/hawserConfig.cmake INSTALL_DESTINATION ${config_dir}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break what the one before offered.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hawserConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hawserConfig.cmake
              ${PROJECT_BINARY_DIR}/hawserConfigVersion.cmake
  DESTINATION ${config_dir} COMPONENT core)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT core)

include(cmake/HawserPkgConfig.cmake)
include(cmake/HawserPackage.cmake)
