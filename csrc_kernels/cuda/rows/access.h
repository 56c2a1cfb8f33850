#pragma once

#include <cstdint>
#include <type_traits>

#include "../../checks.h"
#include "../device.h"

// Elements of arrays of float32 (float) and bfloat16 (std::uint16_t), 16 bytes at a time. In
// registers they stay packed, four words for the elements of a chunk: unpacked, bfloat16 would take
// twice the registers.

namespace zebra::kernels::rows {

/// The elements of a chunk as float32.
template <class Element>
struct Values {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(Element));
  float x[kCount];
};

template <class Element>
ZEBRA_DEVICE Values<Element> unpack(const device::Words& words) {
  Values<Element> values;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<Element, float>) {
      values.x[i] = device::from_bits(words.w[i]);
    } else {
      values.x[2 * i] = device::low_bfloat16(words.w[i]);
      values.x[2 * i + 1] = device::high_bfloat16(words.w[i]);
    }
  }
  return values;
}

/// To nearest even.
template <class Element>
ZEBRA_DEVICE device::Words pack(const Values<Element>& values) {
  device::Words words;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<Element, float>) {
      words.w[i] = device::to_bits(values.x[i]);
    } else {
      words.w[i] = device::pack_bfloat16(values.x[2 * i], values.x[2 * i + 1]);
    }
  }
  return words;
}

/// How a kernel reads and writes rows. kAligned: addresses and sizes of rows are multiples of 16
/// bytes, a chunk is whole and moves at once. Otherwise element by element, as far as the row goes.
template <class ElementType, bool kAligned>
struct Access {
  using Element = ElementType;
  static constexpr bool kIsAligned = kAligned;
  static constexpr int kElements = Values<Element>::kCount;  // of a chunk

  /// Whether element i of the chunk at element `at` is one of the row's `width`.
  static ZEBRA_DEVICE bool is_present(int at, int i, int width) {
    return kAligned || at + i < width;
  }

  /// The chunk at element `at` < width; zeros from `width` on.
  static ZEBRA_DEVICE device::Words load(const Element* row, int at, int width) {
    if constexpr (kAligned) {
      return device::load_words(row + at);
    } else {
      device::Words words = {};
#pragma unroll
      for (int i = 0; i < kElements; ++i) {
        if (at + i < width) put(words, i, row[at + i]);
      }
      return words;
    }
  }

  static ZEBRA_DEVICE void store(Element* row, int at, int width, const device::Words& words) {
    if constexpr (kAligned) {
      device::store_words(row + at, words);
    } else {
#pragma unroll
      for (int i = 0; i < kElements; ++i) {
        if (at + i < width) row[at + i] = get(words, i);
      }
    }
  }

  static ZEBRA_DEVICE Values<Element> load_values(const Element* row, int at, int width) {
    return unpack<Element>(load(row, at, width));
  }
  static ZEBRA_DEVICE void store_values(Element* row, int at, int width,
                                        const Values<Element>& values) {
    store(row, at, width, pack<Element>(values));
  }

 private:
  /// Element i of a chunk that was zeros there.
  static ZEBRA_DEVICE void put(device::Words& words, int i, Element x) {
    if constexpr (std::is_same_v<Element, float>) {
      words.w[i] = device::to_bits(x);
    } else {
      words.w[i / 2] |= static_cast<std::uint32_t>(x) << (16 * (i % 2));
    }
  }
  static ZEBRA_DEVICE Element get(const device::Words& words, int i) {
    if constexpr (std::is_same_v<Element, float>) {
      return device::from_bits(words.w[i]);
    } else {
      return static_cast<std::uint16_t>(words.w[i / 2] >> (16 * (i % 2)));
    }
  }
};

// On the host: from the public arguments to what kernels take.

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
