# Lets ccache answer repeated compilations, precompiled headers included. A launcher that the user
# chose stays.

option(HAWSER_CCACHE "Compile through ccache when it is there" OFF)

if(HAWSER_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(HAWSER_CCACHE_PROGRAM ccache)
  if(HAWSER_CCACHE_PROGRAM)
    # ccache's manual, "Precompiled headers": both values are needed, and the flags below. The base
    # directory lets all checkouts of the project answer one another.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
        ${HAWSER_CCACHE_PROGRAM})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      set(HAWSER_PCH_FLAGS -fpch-preprocess)
    elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      set(HAWSER_PCH_FLAGS "SHELL:-Xclang -fno-pch-timestamp")
    endif()
  endif()
endif()
