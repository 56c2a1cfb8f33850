# zebra_library(NAME [SOURCES file…] [TORCH_SOURCES file…] [DEPENDS target…] [PRIVATE_DEPENDS target…])
#
# One static library per folder of src. TORCH_SOURCES include LibTorch's headers and take part in the shared precompiled
# header, which saves some ten seconds per file; SOURCES do without and compile in a second or two.

function(zebra_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;TORCH_SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  set(target zebra_${name})
  add_library(${target} STATIC ${ARG_SOURCES} ${ARG_TORCH_SOURCES})
  add_library(Zebra::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/zebra>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${ARG_DEPENDS} PRIVATE $<BUILD_INTERFACE:zebra_options> ${ARG_PRIVATE_DEPENDS})
  if(ARG_TORCH_SOURCES)
    zebra_use_torch(${target} PUBLIC)
    set_source_files_properties(${ARG_SOURCES} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  endif()
  set_property(GLOBAL APPEND PROPERTY ZEBRA_LIBRARIES ${target})
endfunction()

# Links LibTorch with the given scope and uses the shared precompiled header.
function(zebra_use_torch target scope)
  target_link_libraries(${target} ${scope} LibTorch::torch)
  if(NOT TARGET zebra_torch_header)
    add_library(zebra_torch_header OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_header.cpp)
    target_link_libraries(zebra_torch_header PRIVATE LibTorch::torch zebra_options)
    target_precompile_headers(zebra_torch_header PRIVATE <torch/torch.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM zebra_torch_header)
  target_compile_options(${target} PRIVATE -fPIC)  # executables too: the header was compiled with it
endfunction()
