# LibTorch::gloo and LibTorch::nccl: what a file needs to include LibTorch's process groups. USE_C10D_GLOO is defined where
# Gloo's may be included.

add_library(LibTorch::gloo INTERFACE IMPORTED GLOBAL)
target_link_libraries(LibTorch::gloo INTERFACE LibTorch::torch)

# The declarations are ours: see gloo_declarations/README.md. Tried once for each version in a build folder.
if(NOT ZEBRA_GLOO_TRIED STREQUAL ZEBRA_TORCH_VERSION)
  message(STATUS "Trying LibTorch's Gloo")
  try_run(_gloo_status _gloo_compiles ${PROJECT_BINARY_DIR}/gloo_smoke_test
          SOURCES ${CMAKE_CURRENT_LIST_DIR}/gloo_declarations/smoke_test.cpp
          CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${TORCH_ROOT}/include;${TORCH_ROOT}/include/torch/csrc/api/include;${CMAKE_CURRENT_LIST_DIR}/gloo_declarations"
          LINK_OPTIONS -Wl,--allow-shlib-undefined -Wl,-rpath,${TORCH_ROOT}/lib
          LINK_LIBRARIES ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so
          CXX_STANDARD 20
          COMPILE_OUTPUT_VARIABLE _gloo_compile_output
          RUN_OUTPUT_VARIABLE _gloo_run_output)
  if(_gloo_compiles AND _gloo_status EQUAL 0)
    set(_gloo_works ON)
  else()
    set(_gloo_works OFF)
    file(WRITE ${PROJECT_BINARY_DIR}/gloo_smoke_test.log "${_gloo_compile_output}\n${_gloo_run_output}\n")
  endif()
  set(ZEBRA_GLOO_TRIED ${ZEBRA_TORCH_VERSION} CACHE INTERNAL "LibTorch version whose Gloo the smoke test has tried")
  set(ZEBRA_GLOO_WORKS ${_gloo_works} CACHE INTERNAL "Whether it passed")
endif()
if(ZEBRA_GLOO_WORKS)
  target_compile_definitions(LibTorch::gloo INTERFACE USE_C10D_GLOO)
  target_include_directories(LibTorch::gloo SYSTEM INTERFACE ${CMAKE_CURRENT_LIST_DIR}/gloo_declarations)
else()
  message(WARNING "The Gloo of LibTorch ${ZEBRA_TORCH_VERSION} does not work with the declarations in cmake/gloo_declarations "
                  "(${PROJECT_BINARY_DIR}/gloo_smoke_test.log): this build cannot train on CPUs with more than one rank, and "
                  "its tests of that fail. All else works.")
endif()

if(ZEBRA_CUDA_ENABLED)
  find_path(ZEBRA_NCCL_INCLUDE nccl.h HINTS ${TORCH_ROOT}/../nvidia/nccl/include REQUIRED)
  add_library(LibTorch::nccl INTERFACE IMPORTED GLOBAL)
  target_compile_definitions(LibTorch::nccl INTERFACE USE_C10D_NCCL)
  target_include_directories(LibTorch::nccl SYSTEM INTERFACE ${ZEBRA_NCCL_INCLUDE} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(LibTorch::nccl INTERFACE LibTorch::torch)
endif()
