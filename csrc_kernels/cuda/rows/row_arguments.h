#pragma once

#include <cstdint>

#include "../../checks.h"
#include "access.h"

// On the host: from the public arguments to what kernels take.

namespace zebra::kernels::rows {

/// Rows are blocks of a grid, columns of a row are counted in int.
inline void check_cuda_rows(const char* kernel, std::int64_t rows, std::int64_t width) {
  require(rows < (std::int64_t{1} << 31), kernel,
          "on CUDA there may be fewer than 2^31 rows, got " + std::to_string(rows) + ".");
  require(width < (std::int64_t{1} << 30), kernel,
          "on CUDA rows may have fewer than 2^30 elements, got " + std::to_string(width) + ".");
}

inline bool is_multiple_of_16(std::int64_t elements, ElementType type) {
  return elements % (type == ElementType::kFloat32 ? 4 : 8) == 0;
}

/// Whether all pointers are; null is.
template <class... Pointers>
bool are_aligned(const Pointers*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

/// Calls f with the Access of the type.
template <class F>
void with_access(ElementType type, bool is_aligned, const F& f) {
  if (type == ElementType::kFloat32) {
    is_aligned ? f(Access<float, true>()) : f(Access<float, false>());
  } else {
    is_aligned ? f(Access<std::uint16_t, true>()) : f(Access<std::uint16_t, false>());
  }
}

/// An array of the public arguments as the type that it is of.
template <class Access>
const typename Access::Element* elements(const void* array) {
  return static_cast<const typename Access::Element*>(array);
}
template <class Access>
typename Access::Element* elements(void* array) {
  return static_cast<typename Access::Element*>(array);
}

}  // namespace zebra::kernels::rows
