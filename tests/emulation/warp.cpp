#include "emulation/warp.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace zebra::kernels::emulation {
namespace {

constexpr int kRows = 16, kColumns = 8, kDepth = 16;  // of multiply_add
constexpr int kMatrixRows = 8, kRowBytes = 16;        // of load_matrices
constexpr int kMatrices = 4;

/// A register of every processor.
typedef float Four [[gnu::vector_size(4 * sizeof(float)), gnu::may_alias]];
Four& four(float* aligned) { return *reinterpret_cast<Four*>(aligned); }

float low(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float high(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

struct Matrix {
  std::uint16_t elements[kMatrixRows][kMatrixRows];
};

Matrix read_matrix(const Operands (&lanes)[kLanes], int matrix) {
  Matrix read;
  for (int row = 0; row < kMatrixRows; ++row)
    std::memcpy(read.elements[row], lanes[matrix * kMatrixRows + row].row, kRowBytes);
  return read;
}

std::uint32_t pair(std::uint16_t low, std::uint16_t high) {
  return low | static_cast<std::uint32_t>(high) << 16;
}

}  // namespace

void shuffle_xor(Operands (&lanes)[kLanes]) {
  std::uint32_t values[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) values[lane] = lanes[lane].value;
  for (int lane = 0; lane < kLanes; ++lane)
    lanes[lane].value = values[lane ^ lanes[lane].lane_mask];
}

void load_matrices(const Operands (&lanes)[kLanes]) {
  for (int i = 0; i < kMatrices; ++i) {
    const auto [elements] = read_matrix(lanes, i);
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto* const two = &elements[lane / 4][2 * (lane % 4)];
      lanes[lane].matrices[i] = pair(two[0], two[1]);
    }
  }
}

void load_matrices_transposed(const Operands (&lanes)[kLanes]) {
  for (int i = 0; i < kMatrices; ++i) {
    const auto [elements] = read_matrix(lanes, i);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int row = 2 * (lane % 4), column = lane / 4;
      lanes[lane].matrices[i] = pair(elements[row][column], elements[row + 1][column]);
    }
  }
}

void multiply_add(const Operands (&lanes)[kLanes], bool swap_a, bool swap_b) {
  float a[kRows][kDepth];
  alignas(Four) float b[kDepth][kColumns], c[kRows][kColumns];
  for (int lane = 0; lane < kLanes; ++lane) {
    const int g = lane / 4, q = 2 * (lane % 4);
    const Operands& own = lanes[lane];
    for (int i = 0; i < 4; ++i) {
      const int place = swap_a ? i / 2 + i % 2 * 2 : i;
      const int row = g + place % 2 * 8, column = q + place / 2 * 8;
      a[row][column] = low(own.a[i]);
      a[row][column + 1] = high(own.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      const int row = q + 8 * (swap_b ? 1 - i : i);
      b[row][g] = low(own.b[i]);
      b[row + 1][g] = high(own.b[i]);
    }
    for (int i = 0; i < 4; ++i) c[g + i / 2 * 8][q + i % 2] = own.c[i];
  }
  // A product of two bfloat16 is exact in float32; the sum over the depth is in ascending order.
  for (int row = 0; row < kRows; ++row) {
    Four left = four(c[row]), right = four(c[row] + 4);
    for (int k = 0; k < kDepth; ++k) {
      left += a[row][k] * four(b[k]);
      right += a[row][k] * four(b[k] + 4);
    }
    four(c[row]) = left;
    four(c[row] + 4) = right;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const int g = lane / 4, q = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) lanes[lane].c[i] = c[g + i / 2 * 8][q + i % 2];
  }
}

int conflicts(const Operands (&lanes)[kLanes]) {
  constexpr int kChunks = 8;  // of 16 bytes: all 32 banks of 4 bytes
  int extra = 0;
  for (int i = 0; i < kMatrices; ++i) {
    int rows_in_chunk[kChunks] = {};
    for (int row = 0; row < kMatrixRows; ++row) {
      const void* const address = lanes[i * kMatrixRows + row].row;
      const auto same = [address](const Operands& other) { return other.row == address; };
      const auto* const first = &lanes[i * kMatrixRows];
      if (std::none_of(first, first + row, same))
        ++rows_in_chunk[reinterpret_cast<std::uintptr_t>(address) / kRowBytes % kChunks];
    }
    extra += *std::max_element(rows_in_chunk, rows_in_chunk + kChunks) - 1;
  }
  return extra;
}

}  // namespace zebra::kernels::emulation
