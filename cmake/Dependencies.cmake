# Libraries of the distribution (scripts/setup.sh installs them), or of a folder in CMAKE_PREFIX_PATH; static ones where there
# are any, so that a built `zebra` runs on a host that has only torch.

find_package(Threads REQUIRED)

function(zebra_import name header library)
  if(TARGET Dependency::${name})
    return()
  endif()
  find_path(${name}_INCLUDE ${header})
  find_library(${name}_LIBRARY NAMES lib${library}.a ${library})
  if(NOT ${name}_INCLUDE OR NOT ${name}_LIBRARY)
    message(FATAL_ERROR "Library ${library} (header ${header}) was not found: run scripts/setup.sh, or see "
                        "docs/install.md.")
  endif()
  add_library(Dependency::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(Dependency::${name} PROPERTIES IMPORTED_LOCATION ${${name}_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES "${${name}_INCLUDE}")
endfunction()

zebra_import(yaml yaml-cpp/yaml.h yaml-cpp)
zebra_import(sentencepiece sentencepiece_processor.h sentencepiece)
zebra_import(sentencepiece_train sentencepiece_trainer.h sentencepiece_train)
zebra_import(zlib zlib.h z)
zebra_import(zstd zstd.h zstd)
zebra_import(xxhash xxhash.h xxhash)

# Headers alone, which every source may include.
if(TARGET zebra_options)
  find_path(nlohmann_json_INCLUDE nlohmann/json.hpp REQUIRED)
  find_path(cli11_INCLUDE CLI/CLI.hpp REQUIRED)
  target_include_directories(zebra_options SYSTEM INTERFACE ${nlohmann_json_INCLUDE} ${cli11_INCLUDE})
endif()
