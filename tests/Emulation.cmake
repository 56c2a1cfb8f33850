# The CUDA kernels' own source on the CPU (tests/emulation), whether or not there is a CUDA toolkit: under AddressSanitizer
# and UndefinedBehaviorSanitizer, for small cases under ThreadSanitizer, and plain, several times quicker, for all schedules
# and sizes (scripts/test.sh --long builds that one).

file(GLOB emulation_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/emulation/*.cpp)
file(GLOB emulated_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda/*.cu
     ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda/*/*.cu)
set_source_files_properties(${emulated_kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")

# zebra_emulation_binary(NAME test_file… [FLAGS flag…])
function(zebra_emulation_binary name)
  cmake_parse_arguments(ARG "" "" "FLAGS" ${ARGN})
  add_executable(${name} ${emulation_sources} ${emulated_kernels} ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/emulation
                             ${PROJECT_SOURCE_DIR}/csrc_kernels ${PROJECT_SOURCE_DIR}/csrc_kernels/include
                             ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda)
  target_compile_definitions(${name} PRIVATE ZEBRA_CUDA_CASES="${CMAKE_CURRENT_SOURCE_DIR}/csrc_kernels/cuda_cases.csv")
  target_compile_options(${name} PRIVATE -O2 -Wno-unknown-pragmas ${ARG_FLAGS})
  target_link_options(${name} PRIVATE ${ARG_FLAGS})
  target_link_libraries(${name} PRIVATE zebra_test_main zebra_options)
endfunction()

file(GLOB cuda_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/csrc_kernels/test_*_cuda.cpp)
file(GLOB cuda_race_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/csrc_kernels/test_*_cuda_races.cpp)
zebra_emulation_binary(test_emulation_plain ${cuda_tests})
set_target_properties(test_emulation_plain PROPERTIES EXCLUDE_FROM_ALL ON)
if(ZEBRA_SANITIZE)
  zebra_emulation_binary(test_emulation ${cuda_tests})
else()
  zebra_emulation_binary(test_emulation ${cuda_tests} FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -g1)
  zebra_emulation_binary(test_emulation_races ${cuda_race_tests} FLAGS -fsanitize=thread -g1)
  add_test(NAME test_emulation_races COMMAND test_emulation_races)
endif()
add_test(NAME test_emulation COMMAND test_emulation)
