# Which parts are built unless somebody says otherwise with -D HAWSER_<PART>=ON or OFF. At the top all
# of them. Inside another project those that what is installed suffices for: who links only
# hawser::hawser need not have spdlog, and what is not linked is not compiled.

set(hawser_http_by_default ON)
set(hawser_spdlog_by_default ON)

# Leaves a part out, and says so, when one of `targets` is not there.
function(hawser_part_needs part hint)
  foreach(target IN LISTS ARGN)
    if(NOT TARGET ${target})
      set(hawser_${part}_by_default OFF PARENT_SCOPE)
      string(TOUPPER HAWSER_${part} option)
      if(NOT DEFINED ${option})
        message(STATUS "hawser::${part} is left out: there is no ${target} (Debian: ${hint}); "
          "with it, -D ${option}=ON builds the part")
      endif()
      return()
    endif()
  endforeach()
endfunction()

if(NOT PROJECT_IS_TOP_LEVEL)
  if(NOT DEFINED HAWSER_HTTP)
    find_package(OpenSSL 3.0 QUIET)
    if(NOT TARGET nlohmann_json::nlohmann_json)
      find_package(nlohmann_json 3.11 CONFIG QUIET)
    endif()
    hawser_part_needs(http "libssl-dev and nlohmann-json3-dev"
                      OpenSSL::SSL nlohmann_json::nlohmann_json)
  endif()
  if(NOT DEFINED HAWSER_SPDLOG)
    if(NOT TARGET spdlog::spdlog)
      find_package(spdlog 1.10 CONFIG QUIET)
    endif()
    hawser_part_needs(spdlog libspdlog-dev spdlog::spdlog)
  endif()
endif()
