# One pkg-config file a component: hawser-core.pc, hawser.pc, hawser-http.pc, ...
#
# A static library hands on all it links, in Requires and Libs, so that a plain `pkg-config --libs`
# links. A shared one links its own: only what its headers include is in Requires, the rest in
# Requires.private, for a prefix that holds static libraries as well. Boost has no pkg-config file;
# its headers get a -I when they are not where the compiler looks anyway, before that of our own:
# the same prefix may hold an older Boost.

# hawser_pkg_config(<component> DESCRIPTION <text> [REQUIRES <modules>...] [PRIVATE <modules>...]
#                   [LIBS <flags>...])
function(hawser_pkg_config component)
  cmake_parse_arguments(arg "" "DESCRIPTION" "REQUIRES;PRIVATE;LIBS" ${ARGN})
  set(name hawser-${component})
  set(library hawser_${component})
  if(component STREQUAL "hawser")
    set(name hawser)
    set(library hawser)
  endif()

  set(dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    set(prefix ${CMAKE_INSTALL_PREFIX})
    set(libdir ${CMAKE_INSTALL_FULL_LIBDIR})
    set(includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  else()
    # The installed tree may be moved: everything hangs on where this file lies.
    file(RELATIVE_PATH up /prefix/${dir} /prefix)
    string(REGEX REPLACE "/$" "" prefix "\${pcfiledir}/${up}")
    set(libdir \${prefix}/${CMAKE_INSTALL_LIBDIR})
    set(includedir \${prefix}/${CMAKE_INSTALL_INCLUDEDIR})
  endif()

  set(cflags "")
  foreach(folder IN LISTS Boost_INCLUDE_DIRS)
    if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
      string(APPEND cflags "-I${folder} ")
    endif()
  endforeach()
  string(APPEND cflags "-I\${includedir}")
  if(HAWSER_INSTALLED_SHARED)
    string(APPEND cflags " -DHAWSER_SHARED")
  else()
    list(APPEND arg_REQUIRES ${arg_PRIVATE})
    set(arg_PRIVATE "")
  endif()
  string(REPLACE ";" ", " requires "${arg_REQUIRES}")
  string(REPLACE ";" ", " requires_private "${arg_PRIVATE}")
  string(REPLACE ";" " " libs "-L\${libdir};-l${library};${arg_LIBS}")
  string(STRIP "${libs}" libs)

  set(file ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/hawser.pc.in ${file} @ONLY)
  install(FILES ${file} DESTINATION ${dir} COMPONENT ${component})
endfunction()

set(same "= ${PROJECT_VERSION}")
hawser_pkg_config(core
  DESCRIPTION "Errors, resilience policies, events and redaction")
hawser_pkg_config(hawser
  DESCRIPTION "Resilience policies around calls and Asio operations"
  REQUIRES "hawser-core ${same}" LIBS ${CMAKE_THREAD_LIBS_INIT})
if(HAWSER_HTTP)
  hawser_pkg_config(http
    DESCRIPTION "A resilient REST client over pooled HTTP and TLS"
    REQUIRES "hawser ${same}" "nlohmann_json >= 3.11"
    PRIVATE "libssl >= 3.0" "libcrypto >= 3.0")
endif()
if(HAWSER_SPDLOG)
  hawser_pkg_config(spdlog
    DESCRIPTION "A masking sink and a log observer for spdlog"
    REQUIRES "hawser-core ${same}" "spdlog >= 1.10")
endif()
if(HAWSER_TESTING)
  hawser_pkg_config(testing
    DESCRIPTION "Virtual time, fakes and a fault server for tests of integrations"
    REQUIRES "hawser-http ${same}"
    PRIVATE "libssl >= 3.0" "libcrypto >= 3.0")
endif()
