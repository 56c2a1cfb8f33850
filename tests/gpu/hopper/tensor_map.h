#pragma once

#include <cuda.h>

#include <stdexcept>
#include <vector>

#include "answers.h"
#include "primitives.h"

namespace zebra::hopper {

/// Describes an array of bfloat16 (or float32) to the TMA. `sizes` and `box` are in elements,
/// innermost first; `strides` in bytes, of all dimensions but the innermost. The driver encodes it:
/// its function is looked up, so that nothing links the driver.
inline TensorMap tensor_map(void* array, std::vector<cuuint64_t> sizes,
                            std::vector<cuuint64_t> strides, std::vector<cuuint32_t> box,
                            Swizzle swizzle, bool is_float32 = false) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  kernels::testing::check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry,
                                                                12000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess)
    throw std::runtime_error("the driver has no cuTensorMapEncodeTiled");
  const auto encode = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry);
  constexpr CUtensorMapSwizzle kSwizzles[] = {CU_TENSOR_MAP_SWIZZLE_NONE,
                                              CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_SWIZZLE_64B,
                                              CU_TENSOR_MAP_SWIZZLE_32B};
  const std::vector<cuuint32_t> steps(sizes.size(), 1);
  TensorMap map;
  static_assert(sizeof map == sizeof(CUtensorMap));
  const auto status =
      encode(reinterpret_cast<CUtensorMap*>(&map),
             is_float32 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
             static_cast<cuuint32_t>(sizes.size()), array, sizes.data(), strides.data(), box.data(),
             steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, kSwizzles[static_cast<int>(swizzle)],
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw std::runtime_error("cuTensorMapEncodeTiled refuses: CUresult " + std::to_string(status));
  return map;
}

}  // namespace zebra::hopper
