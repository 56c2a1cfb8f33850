# LibTorch from the `torch` wheel in the project's virtual environment, as the imported target LibTorch::torch.
#
# The wheel's own find_package(Torch) stops where no CUDA toolkit is installed, and asks for an architecture list where no
# GPU is visible. Five imported libraries are all that it would give, so they are named here, the same way on every machine.

if(TARGET LibTorch::torch)
  return()  # a second find_package(Zebra) in one build
endif()

# What is built and tested with: that of scripts/requirements.txt, and others by `scripts/setup.sh --torch VERSION`.
set(ZEBRA_TORCH_TESTED 2.11.0 2.15.0)

if(NOT TORCH_ROOT)
  file(GLOB _torch_candidates ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  list(LENGTH _torch_candidates _torch_count)
  if(_torch_count EQUAL 0)
    message(FATAL_ERROR "No LibTorch: run scripts/setup.sh, which installs torch into .venv, or name the folder of an "
                        "installed torch package with -DTORCH_ROOT=DIR.")
  endif()
  list(GET _torch_candidates 0 TORCH_ROOT)
endif()

if(NOT EXISTS ${TORCH_ROOT}/version.py)
  message(FATAL_ERROR "${TORCH_ROOT} is no installed torch package: it has no version.py.")
endif()
# Another version in its place is noticed by the next build.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${TORCH_ROOT}/version.py)
file(STRINGS ${TORCH_ROOT}/version.py _torch_version_line REGEX "^__version__")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" ZEBRA_TORCH_VERSION "${_torch_version_line}")
set(_torch_sorted ${ZEBRA_TORCH_TESTED})
list(SORT _torch_sorted COMPARE NATURAL)
list(GET _torch_sorted 0 _torch_oldest)
list(GET _torch_sorted -1 _torch_newest)
if(ZEBRA_TORCH_VERSION VERSION_LESS _torch_oldest OR ZEBRA_TORCH_VERSION VERSION_GREATER _torch_newest)
  message(WARNING "LibTorch ${ZEBRA_TORCH_VERSION} in ${TORCH_ROOT} is outside of what Zebra is tested with, ${_torch_oldest} to "
                  "${_torch_newest}. It may not compile; if it does, run the tests. scripts/setup.sh --torch VERSION installs another.")
endif()

include(${CMAKE_CURRENT_LIST_DIR}/Cuda.cmake)

function(_zebra_import_torch_library name)
  add_library(LibTorch::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::${name} PROPERTIES IMPORTED_LOCATION ${TORCH_ROOT}/lib/lib${name}.so)
endfunction()

_zebra_import_torch_library(c10)
_zebra_import_torch_library(torch_cpu)
add_library(LibTorch::torch INTERFACE IMPORTED GLOBAL)
target_include_directories(LibTorch::torch SYSTEM INTERFACE ${TORCH_ROOT}/include
                           ${TORCH_ROOT}/include/torch/csrc/api/include)
target_link_libraries(LibTorch::torch INTERFACE LibTorch::torch_cpu LibTorch::c10 Threads::Threads)
# at::parallel_for is a template of LibTorch's headers: without -fopenmp it runs on one thread, and says nothing. The
# wheel brings the OpenMP runtime that LibTorch itself uses.
target_compile_options(LibTorch::torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_libraries(LibTorch::torch INTERFACE ${TORCH_ROOT}/lib/libgomp.so.1)

if(ZEBRA_CUDA_ENABLED)
  _zebra_import_torch_library(c10_cuda)
  _zebra_import_torch_library(torch_cuda)
  target_link_libraries(LibTorch::torch INTERFACE LibTorch::c10_cuda)
  # What refers to LibTorch's CUDA library by name (src/cuda), and programs of the tests that do. Programs of the project
  # load it where there is a driver (src/ops/cuda_library.h), with the kernels that register themselves.
  add_library(LibTorch::cuda INTERFACE IMPORTED GLOBAL)
  target_include_directories(LibTorch::cuda SYSTEM INTERFACE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(LibTorch::cuda INTERFACE LibTorch::torch LibTorch::torch_cuda)
endif()
# The wheel's libraries find NVIDIA's beside them by their own run path, the linker does not: leave those to run time.
target_link_options(LibTorch::torch INTERFACE "-Wl,--allow-shlib-undefined")
if(ZEBRA_PORTABLE)
  target_link_options(LibTorch::torch INTERFACE "-Wl,-rpath-link,${TORCH_ROOT}/lib")
else()
  target_link_options(LibTorch::torch INTERFACE "-Wl,--disable-new-dtags" "-Wl,-rpath,${TORCH_ROOT}/lib")
endif()
message(STATUS "LibTorch ${ZEBRA_TORCH_VERSION} from ${TORCH_ROOT}, CUDA: ${ZEBRA_CUDA_ENABLED}")
