# LibTorch::gloo and LibTorch::nccl: what a file needs to include LibTorch's process groups.

add_library(LibTorch::gloo INTERFACE IMPORTED GLOBAL)
target_compile_definitions(LibTorch::gloo INTERFACE USE_C10D_GLOO)
target_include_directories(LibTorch::gloo SYSTEM INTERFACE ${CMAKE_CURRENT_LIST_DIR}/gloo_declarations)
target_link_libraries(LibTorch::gloo INTERFACE LibTorch::torch)

# The declarations are ours: see gloo_declarations/README.md.
if(NOT ZEBRA_GLOO_WORKS STREQUAL ZEBRA_TORCH_VERSION)
  message(STATUS "Trying LibTorch's Gloo")
  try_run(_gloo_status _gloo_compiles ${PROJECT_BINARY_DIR}/gloo_smoke_test
          SOURCES ${CMAKE_CURRENT_LIST_DIR}/gloo_declarations/smoke_test.cpp
          CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${TORCH_ROOT}/include;${TORCH_ROOT}/include/torch/csrc/api/include;${CMAKE_CURRENT_LIST_DIR}/gloo_declarations"
          LINK_OPTIONS -Wl,--allow-shlib-undefined -Wl,-rpath,${TORCH_ROOT}/lib
          LINK_LIBRARIES ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so
          CXX_STANDARD 20
          COMPILE_OUTPUT_VARIABLE _gloo_compile_output
          RUN_OUTPUT_VARIABLE _gloo_run_output)
  if(NOT _gloo_compiles OR NOT _gloo_status EQUAL 0)
    message(FATAL_ERROR "LibTorch's Gloo does not work with the declarations in cmake/gloo_declarations:\n"
                        "${_gloo_compile_output}\n${_gloo_run_output}")
  endif()
  set(ZEBRA_GLOO_WORKS ${ZEBRA_TORCH_VERSION} CACHE INTERNAL "LibTorch version whose Gloo passed the smoke test")
endif()

if(ZEBRA_CUDA_ENABLED)
  find_path(ZEBRA_NCCL_INCLUDE nccl.h HINTS ${TORCH_ROOT}/../nvidia/nccl/include REQUIRED)
  add_library(LibTorch::nccl INTERFACE IMPORTED GLOBAL)
  target_compile_definitions(LibTorch::nccl INTERFACE USE_C10D_NCCL)
  target_include_directories(LibTorch::nccl SYSTEM INTERFACE ${ZEBRA_NCCL_INCLUDE} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(LibTorch::nccl INTERFACE LibTorch::torch)
endif()
