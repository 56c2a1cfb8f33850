# What reads other people's bytes (base, config, the data readers, checkpoint and interop as far as they do without
# LibTorch) and the CPU kernels, compiled and tested under AddressSanitizer and UndefinedBehaviorSanitizer: test_base,
# test_config, test_readers and test_csrc_kernels_sanitized. `sanitized_tests` then holds the tests that no other binary
# needs to run.

set(sanitizers -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
set(sanitized -O1 -g1 -fno-omit-frame-pointer ${sanitizers})
zebra_test_header(zebra_sanitized_catch_header FLAGS ${sanitized})

# zebra_sanitized_test(NAME TEST DEPENDS target… SOURCES source…)
function(zebra_sanitized_test name test)
  cmake_parse_arguments(ARG "" "" "DEPENDS;SOURCES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${sanitized})
  target_link_options(${name} PRIVATE ${sanitizers})
  target_link_libraries(${name} PRIVATE zebra_test_main ${ARG_DEPENDS} Threads::Threads)
  zebra_test_target(${name} zebra_sanitized_catch_header)
  add_test(NAME ${test} COMMAND ${name})
endfunction()

set(sanitized_sources)
foreach(folder base config model data checkpoint interop)  # exports need the model's layout
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  zebra_split_by_torch(unused without_torch ${sources})
  list(APPEND sanitized_sources ${without_torch})
endforeach()
foreach(folder base config data checkpoint interop)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/test_*.cpp)
  zebra_split_by_torch(unused ${folder}_tests ${tests})
endforeach()
# Simulations of thousands of items read nothing of others, and texts of many megabytes are SentencePiece's work: both would
# take minutes here, so they are test_data's.
list(FILTER data_tests EXCLUDE REGEX "/test_(key_blind|recall_probes|pack_long_texts)\\.cpp$")
add_library(zebra_sanitized STATIC ${sanitized_sources})
# It needs a source with LibTorch, so it must be an object of its own, which nothing here asks for.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/checkpoint/inventory.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
target_include_directories(zebra_sanitized PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/generated)
target_compile_options(zebra_sanitized PRIVATE ${sanitized})
target_link_libraries(zebra_sanitized PRIVATE zebra_options PUBLIC Dependency::xxhash Dependency::yaml
                      Dependency::sentencepiece_train Dependency::sentencepiece Dependency::zlib Dependency::zstd)

zebra_sanitized_test(test_base base DEPENDS zebra_sanitized SOURCES ${base_tests})
zebra_sanitized_test(test_config config DEPENDS zebra_sanitized SOURCES ${config_tests})
zebra_sanitized_test(test_readers readers DEPENDS zebra_sanitized SOURCES ${data_tests} ${checkpoint_tests} ${interop_tests})
set(sanitized_tests ${base_tests} ${config_tests} ${data_tests} ${checkpoint_tests} ${interop_tests})

zebra_cpu_kernels(zebra_kernels_sanitized ${sanitized})
if(TARGET zebra_kernels_sanitized_amx_bf16)
  # Sanitizers see nothing of what tile instructions read and write; and few processors have these.
  target_sources(zebra_kernels_sanitized PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/emulation/emulated_tiles.cpp)
  foreach(part zebra_kernels_sanitized zebra_kernels_sanitized_amx_bf16)
    target_compile_definitions(${part} PUBLIC ZEBRA_EMULATED_TILES)
    target_include_directories(${part} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/emulation)
  endforeach()
endif()
file(GLOB kernel_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/csrc_kernels/test_*.cpp)
list(FILTER kernel_tests EXCLUDE REGEX "_cuda(_races)?\\.cpp$")
# Their references are loops, so these are optimized.
add_executable(test_csrc_kernels_sanitized ${kernel_tests})
target_include_directories(test_csrc_kernels_sanitized PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/csrc_kernels)
target_compile_options(test_csrc_kernels_sanitized PRIVATE ${sanitized})
target_link_options(test_csrc_kernels_sanitized PRIVATE ${sanitizers})
target_link_libraries(test_csrc_kernels_sanitized PRIVATE zebra_test_main zebra_options zebra_kernels_sanitized Threads::Threads)
add_test(NAME csrc_kernels_sanitized COMMAND test_csrc_kernels_sanitized)
