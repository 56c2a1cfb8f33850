# `cmake --install` and find_package(Zebra): one target Zebra::FOLDER for each folder of src.

get_property(_zebra_libraries GLOBAL PROPERTY ZEBRA_LIBRARIES)
install(TARGETS ${_zebra_libraries} EXPORT ZebraTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ZebraTargets NAMESPACE Zebra:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Zebra)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/ ${PROJECT_BINARY_DIR}/generated/
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/zebra FILES_MATCHING PATTERN "*.h")

# What goes with the command, beside it: the scripts that it runs with Python or exports (src/base/system.h), those for a first
# model, and run files to begin with. Component `command` is the command and this, all that the wheel zebra-lm holds.
set(_zebra_share ${CMAKE_INSTALL_DATADIR}/zebra)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/scripts/ablation_report DESTINATION ${_zebra_share}/scripts COMPONENT command
        PATTERN __pycache__ EXCLUDE)
foreach(_script ablation_advice.py plot_cost.py plot_loss.py python_corpus.py python_data.sh quickstart.sh stages.sh
                text_baselines.py text_run.py)
  install(FILES ${PROJECT_SOURCE_DIR}/scripts/${_script} DESTINATION ${_zebra_share}/scripts COMPONENT command)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/scripts/huggingface/modeling_zebra.py
        ${PROJECT_SOURCE_DIR}/scripts/huggingface/bin_to_safetensors.py DESTINATION ${_zebra_share}/scripts/huggingface
        COMPONENT command)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs DESTINATION ${_zebra_share} COMPONENT command)

include(CMakePackageConfigHelpers)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ZebraConfig.cmake.in ${PROJECT_BINARY_DIR}/ZebraConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Zebra)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ZebraConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ZebraConfig.cmake ${PROJECT_BINARY_DIR}/ZebraConfigVersion.cmake
        ${PROJECT_SOURCE_DIR}/cmake/LibTorch.cmake ${PROJECT_SOURCE_DIR}/cmake/Cuda.cmake
        ${PROJECT_SOURCE_DIR}/cmake/Dependencies.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Zebra)

# Libraries of the distribution that are not linked statically (Dependencies.cmake), beside the programs that need them.
if(ZEBRA_PORTABLE)
  foreach(dependency yaml sentencepiece sentencepiece_train zlib zstd xxhash)
    get_target_property(library Dependency::${dependency} IMPORTED_LOCATION)
    if(library MATCHES "\\.so$")
      # The shortest of libNAME.so.0, libNAME.so.0.0.0 is what programs ask for: a file of that name, not links to one.
      file(GLOB names LIST_DIRECTORIES false ${library}.*)
      list(SORT names)
      list(GET names 0 name)
      file(REAL_PATH ${name} file)
      get_filename_component(name ${name} NAME)
      install(FILES ${file} DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME ${name} COMPONENT command)
      install(FILES ${file} DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME ${name} COMPONENT gpu EXCLUDE_FROM_ALL)
    endif()
  endforeach()
endif()

# The wheel holds the code of others too: their notices, as Debian keeps them, go with it.
if(SKBUILD)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${SKBUILD_METADATA_DIR}/licenses COMPONENT command)
  foreach(package libcli11 libsentencepiece libxxhash libyaml-cpp libzstd nlohmann-json3 zlib1g)
    set(notice /usr/share/doc/${package}-dev/copyright)
    if(EXISTS ${notice})
      install(FILES ${notice} DESTINATION ${SKBUILD_METADATA_DIR}/licenses RENAME ${package} COMPONENT command)
    endif()
  endforeach()
endif()
