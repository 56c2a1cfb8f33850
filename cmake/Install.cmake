# `cmake --install` and find_package(Zebra): one target Zebra::FOLDER for each folder of src.

get_property(_zebra_libraries GLOBAL PROPERTY ZEBRA_LIBRARIES)
install(TARGETS ${_zebra_libraries} EXPORT ZebraTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ZebraTargets NAMESPACE Zebra:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Zebra)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/ ${PROJECT_BINARY_DIR}/generated/
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/zebra FILES_MATCHING PATTERN "*.h")

# What the command runs with Python, or exports (src/base/system.h).
set(_zebra_scripts ${CMAKE_INSTALL_DATADIR}/zebra/scripts)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/scripts/ablation_report DESTINATION ${_zebra_scripts}
        PATTERN __pycache__ EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/plot_cost.py DESTINATION ${_zebra_scripts})
install(FILES ${PROJECT_SOURCE_DIR}/scripts/huggingface/modeling_zebra.py
        ${PROJECT_SOURCE_DIR}/scripts/huggingface/bin_to_safetensors.py DESTINATION ${_zebra_scripts}/huggingface)

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
  foreach(name yaml sentencepiece sentencepiece_train zlib zstd xxhash)
    get_target_property(library Dependency::${name} IMPORTED_LOCATION)
    if(library MATCHES "\\.so$")
      file(GLOB versions ${library}.*)
      install(FILES ${versions} DESTINATION ${CMAKE_INSTALL_LIBDIR})
      install(FILES ${versions} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT gpu EXCLUDE_FROM_ALL)
    endif()
  endforeach()
endif()
