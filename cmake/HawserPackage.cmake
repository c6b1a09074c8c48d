# Debian packages, as Debian would cut them: libhawser0.1 to run programs with, libhawser-dev to
# build them with.
#
#   cmake --workflow --preset package        # build/package/*.deb

set(CPACK_PACKAGE_NAME hawser)
set(CPACK_PACKAGE_VENDOR "Hawser")
set(CPACK_PACKAGE_CONTACT "The Hawser authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)

set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libhawser${soversion})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "Resilience policies for C++20, shared libraries")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
# Our own libraries name one another.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/src)

set(dev_needs "libboost1.81-dev | libboost-dev (>= 1.81)")
if(HAWSER_INSTALLED_SHARED)
  list(PREPEND dev_needs "libhawser${soversion} (= ${PROJECT_VERSION})")
endif()
if(HAWSER_HTTP)
  list(APPEND dev_needs "nlohmann-json3-dev (>= 3.11)" "libssl-dev (>= 3.0)")
endif()
if(HAWSER_SPDLOG)
  list(APPEND dev_needs "libspdlog-dev (>= 1:1.10)")
endif()
list(JOIN dev_needs ", " CPACK_DEBIAN_DEV_PACKAGE_DEPENDS)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libhawser-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_DESCRIPTION "Resilience policies for C++20, to build programs with")

set(CPACK_COMPONENTS_ALL "")
if(HAWSER_INSTALLED_SHARED)
  list(APPEND CPACK_COMPONENTS_ALL runtime)
endif()
foreach(library IN LISTS libraries)
  get_target_property(component ${library} EXPORT_NAME)
  list(APPEND CPACK_COMPONENTS_ALL ${component})
endforeach()

include(CPack)

cpack_add_component(runtime GROUP runtime)
foreach(library IN LISTS libraries)
  get_target_property(component ${library} EXPORT_NAME)
  cpack_add_component(${component} GROUP dev)
endforeach()
