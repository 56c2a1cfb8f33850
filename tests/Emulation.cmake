# The CUDA kernels' own source on the CPU (tests/emulation), whether or not there is a CUDA toolkit: plain, under
# AddressSanitizer and UndefinedBehaviorSanitizer, and, for small cases, under ThreadSanitizer.

file(GLOB emulation_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/emulation/*.cpp)
file(GLOB emulated_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda/*.cu
     ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda/*/*.cu)
set_source_files_properties(${emulated_kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")

# zebra_emulation_test(NAME test_file… [FLAGS flag…])
function(zebra_emulation_test name)
  cmake_parse_arguments(ARG "" "" "FLAGS" ${ARGN})
  add_executable(${name} ${emulation_sources} ${emulated_kernels} ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/emulation
                             ${PROJECT_SOURCE_DIR}/csrc_kernels ${PROJECT_SOURCE_DIR}/csrc_kernels/include
                             ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda)
  target_compile_definitions(${name} PRIVATE ZEBRA_CUDA_CASES="${CMAKE_CURRENT_SOURCE_DIR}/csrc_kernels/cuda_cases.csv")
  target_compile_options(${name} PRIVATE -O2 -Wno-unknown-pragmas ${ARG_FLAGS})
  target_link_options(${name} PRIVATE ${ARG_FLAGS})
  target_link_libraries(${name} PRIVATE zebra_test_main zebra_options)
  add_test(NAME ${name} COMMAND ${name})
endfunction()

set(cuda_tests csrc_kernels/test_local_attention_cuda.cpp csrc_kernels/test_adamw_cuda.cpp csrc_kernels/test_cross_entropy_cuda.cpp
    csrc_kernels/test_embedding_cuda.cpp csrc_kernels/test_rms_norm_cuda.cpp csrc_kernels/test_rotary_cuda.cpp
    csrc_kernels/test_swiglu_cuda.cpp)
zebra_emulation_test(test_emulation ${cuda_tests})
if(NOT ZEBRA_SANITIZE)
  zebra_emulation_test(test_emulation_addresses ${cuda_tests} FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -g1)
  zebra_emulation_test(test_emulation_races csrc_kernels/test_local_attention_cuda_races.cpp
                       csrc_kernels/test_row_kernels_cuda_races.cpp FLAGS -fsanitize=thread -g1)
endif()
