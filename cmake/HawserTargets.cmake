# How every target of this project is made. Nothing here touches a global flag.

# Our own code only: third-party headers are system headers.
function(hawser_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  # g++ 12 sees overlaps and overflows in its own std::string when optimising (GCC PR 105329, 105651), and
  # reads of what a variant does not hold.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow
                           -Wno-stringop-overread -Wno-maybe-uninitialized)
  endif()
  if(HAWSER_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# The lists name every file; a name without a file stops the configuration.
function(hawser_sources out)
  set(found "")
  foreach(file IN LISTS ARGN)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      list(APPEND found ${file})
    else()
      message(FATAL_ERROR "${CMAKE_CURRENT_SOURCE_DIR} lists ${file}, which is not there")
    endif()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# Precompiled headers only save time: every file includes what it uses, as HAWSER_PCH=OFF proves.
function(hawser_precompile target)
  if(HAWSER_PCH AND ARGN)
    target_precompile_headers(${target} PRIVATE ${ARGN})
    target_compile_options(${target} PRIVATE ${HAWSER_PCH_FLAGS})
  endif()
endfunction()

# The same ones for one more target, which must be compiled with the same options.
function(hawser_precompiled_by target owner)
  if(HAWSER_PCH)
    target_precompile_headers(${target} REUSE_FROM ${owner})
    target_compile_options(${target} PRIVATE ${HAWSER_PCH_FLAGS})
  endif()
endfunction()

# Compiles `files` of a target at once: what all of them include is read once.
function(hawser_unity target files)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
  # g++ takes unnamed namespaces of included files for those of a header.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()

# hawser_library(<target> EXPORT_NAME <name>
#                SOURCES <.cpp in src/>... HEADERS <below include/hawser/>...
#                [PUBLIC <libraries>...] [PRIVATE <libraries>...]
#                [PRECOMPILE <headers>... | PRECOMPILED_BY <library>] [UNITY_IF <option>])
# makes <target> with the alias hawser::<name>. UNITY_IF: instead of HAWSER_UNITY.
function(hawser_library target)
  cmake_parse_arguments(arg "" "EXPORT_NAME;PRECOMPILED_BY;UNITY_IF"
    "SOURCES;HEADERS;PUBLIC;PRIVATE;PRECOMPILE" ${ARGN})
  list(TRANSFORM arg_HEADERS PREPEND ../include/hawser/)
  hawser_sources(sources ${arg_SOURCES})
  hawser_sources(headers ${arg_HEADERS})

  add_library(${target} ${sources})
  add_library(hawser::${arg_EXPORT_NAME} ALIAS ${target})
  # Another project builds what it links, unless it installs all.
  if(NOT PROJECT_IS_TOP_LEVEL AND NOT HAWSER_INSTALL)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  target_sources(${target} PUBLIC FILE_SET HEADERS
                 BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${headers})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${arg_EXPORT_NAME}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    POSITION_INDEPENDENT_CODE ON  # static ones go into plugins, too
    UNITY_BUILD OFF  # in pieces of our own size, or not at all: see HAWSER_UNITY
    INSTALL_RPATH "$ORIGIN"  # the shared libraries find each other wherever they are installed
    DEFINE_SYMBOL ""  # no header asks for it, and precompiled headers could not be shared
    CXX_EXTENSIONS OFF)
  # The tests reach inside, so a shared library under test keeps all its symbols.
  if(NOT (BUILD_SHARED_LIBS AND HAWSER_BUILD_TESTS))
    set_target_properties(${target} PROPERTIES
      CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    # The standard library's and Boost's templates would be exported all the same.
    if(BUILD_SHARED_LIBS AND LINUX)
      set(exports ${PROJECT_SOURCE_DIR}/cmake/exports.map)
      target_link_options(${target} PRIVATE LINKER:--version-script=${exports})
      set_target_properties(${target} PROPERTIES LINK_DEPENDS ${exports})
    endif()
  endif()
  if(NOT arg_UNITY_IF)
    set(arg_UNITY_IF HAWSER_UNITY)
  endif()
  if(${arg_UNITY_IF})
    hawser_unity(${target} 8)
  endif()
  if(BUILD_SHARED_LIBS)
    target_compile_definitions(${target} PUBLIC HAWSER_SHARED)
  endif()
  hawser_precompile(${target} ${arg_PRECOMPILE})
  if(arg_PRECOMPILED_BY)
    hawser_precompiled_by(${target} ${arg_PRECOMPILED_BY})
  endif()
  hawser_compile_options(${target})
  # What users derive from. (g++ means every error category of Boost's, too, so not in programs.)
  target_compile_options(${target} PRIVATE -Wnon-virtual-dtor)
  set_property(GLOBAL APPEND PROPERTY HAWSER_LIBRARIES ${target})
endfunction()

# hawser_program(<target> SOURCES <.cpp>... LIBRARIES <libraries>... [PRECOMPILE <headers>...])
# An executable of ours: an example, a benchmark, a test.
function(hawser_program target)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;PRECOMPILE" ${ARGN})
  hawser_sources(sources ${arg_SOURCES})
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE ${arg_LIBRARIES})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE ${HAWSER_PROGRAM_OPTIONS})
  hawser_precompile(${target} ${arg_PRECOMPILE})
  hawser_compile_options(${target})
endfunction()
