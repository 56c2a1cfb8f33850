# What scripts/gpu/run.sh runs on a machine with a GPU: the target zebra_gpu_programs builds it all, and
# `cmake --install FOLDER --component gpu` lays it out.

set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
add_executable(check_primitives gpu/check_primitives.cu)
target_include_directories(check_primitives PRIVATE ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda)
set_target_properties(check_primitives PROPERTIES CUDA_ARCHITECTURES "80-real;90-real;80-virtual")

file(GLOB hopper_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/gpu/hopper/*.cu)
add_executable(hopper_primitives ${hopper_sources})
target_include_directories(hopper_primitives PRIVATE ${PROJECT_SOURCE_DIR}/csrc_kernels/cuda)
# wgmma and setmaxnreg are in no other target.
set_target_properties(hopper_primitives PROPERTIES CUDA_ARCHITECTURES "90a-real" UNITY_BUILD OFF)

foreach(program check_primitives hopper_primitives)
  target_compile_options(${program} PRIVATE --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra)
endforeach()

foreach(check check_local_attention check_row_kernels)
  add_executable(${check} gpu/${check}.cpp)
  target_link_libraries(${check} PRIVATE zebra_kernels)
  target_include_directories(${check} SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
endforeach()
foreach(check check_primitives hopper_primitives check_local_attention check_row_kernels)
  target_include_directories(${check} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
endforeach()

set(gpu_programs check_primitives hopper_primitives check_local_attention check_row_kernels zebra zebra_bench_attention
    test_ops test_train test_distributed)
add_custom_target(zebra_gpu_programs DEPENDS ${gpu_programs})
# Optional: run.sh says which are missing.
add_dependencies(zebra_gpu_programs zebra_cuda)
install(TARGETS zebra_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT gpu EXCLUDE_FROM_ALL)
install(TARGETS ${gpu_programs} RUNTIME DESTINATION bin COMPONENT gpu EXCLUDE_FROM_ALL OPTIONAL)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/scripts/launch/torchrun.sh DESTINATION bin COMPONENT gpu EXCLUDE_FROM_ALL)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/scripts/gpu/ DESTINATION . COMPONENT gpu EXCLUDE_FROM_ALL
        PATTERN __pycache__ EXCLUDE)
install(FILES csrc_kernels/cuda_cases.csv DESTINATION . RENAME cases.csv COMPONENT gpu EXCLUDE_FROM_ALL)
install(FILES gpu/primitives.golden DESTINATION . COMPONENT gpu EXCLUDE_FROM_ALL)
