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
add_library(zebra_sanitized STATIC ${sanitized_sources})
target_include_directories(zebra_sanitized PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/generated)
target_compile_options(zebra_sanitized PRIVATE ${sanitized})
target_link_libraries(zebra_sanitized PRIVATE zebra_options PUBLIC Dependency::xxhash Dependency::yaml
                      Dependency::sentencepiece_train Dependency::sentencepiece Dependency::zlib Dependency::zstd)

zebra_sanitized_test(test_base base DEPENDS zebra_sanitized SOURCES ${base_tests})
zebra_sanitized_test(test_config config DEPENDS zebra_sanitized SOURCES ${config_tests})
zebra_sanitized_test(test_readers readers DEPENDS zebra_sanitized SOURCES ${data_tests} ${checkpoint_tests} ${interop_tests})
set(sanitized_tests ${base_tests} ${config_tests} ${data_tests} ${checkpoint_tests} ${interop_tests})

# The kernels with the options that they are shipped with, file by file.
get_target_property(kernel_sources zebra_kernels SOURCES)
list(FILTER kernel_sources INCLUDE REGEX "\\.cpp$")
set(sanitized_kernels)
foreach(source IN LISTS kernel_sources)
  get_source_file_property(options ${source} TARGET_DIRECTORY zebra_kernels COMPILE_OPTIONS)
  set(path ${PROJECT_SOURCE_DIR}/csrc_kernels/${source})
  if(options)
    set_source_files_properties(${path} PROPERTIES COMPILE_OPTIONS "${options}")
  endif()
  list(APPEND sanitized_kernels ${path})
endforeach()
add_library(zebra_kernels_sanitized STATIC ${sanitized_kernels})
target_include_directories(zebra_kernels_sanitized PUBLIC ${PROJECT_SOURCE_DIR}/csrc_kernels/include)
target_compile_definitions(zebra_kernels_sanitized PRIVATE $<TARGET_PROPERTY:zebra_kernels,COMPILE_DEFINITIONS>)
target_compile_options(zebra_kernels_sanitized PRIVATE $<TARGET_PROPERTY:zebra_kernels,COMPILE_OPTIONS> ${sanitized})
target_link_libraries(zebra_kernels_sanitized PRIVATE zebra_options)
file(GLOB kernel_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/csrc_kernels/test_*.cpp)
list(FILTER kernel_tests EXCLUDE REGEX "_cuda(_races)?\\.cpp$")
zebra_sanitized_test(test_csrc_kernels_sanitized csrc_kernels_sanitized DEPENDS zebra_kernels_sanitized
                     SOURCES ${kernel_tests})
target_include_directories(test_csrc_kernels_sanitized PRIVATE ${PROJECT_SOURCE_DIR}/csrc_kernels)
