#pragma once

#include <cstdint>
#include <type_traits>

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

}  // namespace zebra::kernels::rows
