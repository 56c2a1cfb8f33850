// Products of warpgroups: which strides a descriptor must have for each way that a tile may lie.

#include "answers.h"
#include "warpgroup_product.h"

namespace zebra::hopper {
namespace {

constexpr int kThreads = 128, kRows = 64, kInner = 64, kSteps = kInner / 16;
constexpr int kABytes = 2 * kRows * kInner, kMostBBytes = 2 * 128 * kInner;

/// How the tile of an operand lies: boxes as wide as the swizzle spans, one behind the other.
struct Form {
  Swizzle swizzle;
  bool transposed;                    // K is the outer dimension of the tile
  int leading_offset, stride_offset;  // of the descriptor
  int step_offsets[kSteps];           // where the tile's k = 0, 16, 32, 48 begin
};

constexpr Form kPlain = {Swizzle::k128, false, 16, 1024, {0, 32, 64, 96}};
constexpr Form kTransposed = {Swizzle::k128, true, 8192, 1024, {0, 2048, 4096, 6144}};

struct Parameters {
  const std::uint8_t *a, *b;    // tiles as they shall lie in shared memory
  const std::uint16_t* a_rows;  // [kRows, kInner]
  int b_bytes;
  Form a_form, b_form;
  float* out;  // [kRows, kColumns]
};

ZEBRA_DEVICE std::uint64_t step_descriptor(const std::byte* tile, const Form& form, int step) {
  return descriptor(tile + form.step_offsets[step], form.leading_offset, form.stride_offset,
                    form.swizzle);
}

ZEBRA_DEVICE void bring(std::byte* shared, const std::uint8_t* global, int bytes) {
  for (int i = 16 * kernels::device::thread_index(); i < bytes; i += 16 * kThreads)
    kernels::device::store_words(shared + i, kernels::device::load_words(global + i));
}

/// A of this thread for one step, as device.h's multiply_add has it.
ZEBRA_DEVICE void load_a(std::uint32_t (&a)[4], const std::uint16_t* rows, int step) {
  const int thread = kernels::device::thread_index(), lane = thread % 32;
  const int row = 16 * (thread / 32) + lane / 4, column = 16 * step + 2 * (lane % 4);
  for (int i = 0; i < 4; ++i)
    a[i] = *reinterpret_cast<const std::uint32_t*>(rows + (row + 8 * (i % 2)) * kInner + column +
                                                   8 * (i / 2));
}

template <int kColumns, bool kTransposedA, bool kTransposedB, bool kAInRegisters>
ZEBRA_KERNEL(kThreads, 1)
product_kernel(ZEBRA_PARAMETER Parameters p) {
  extern __shared__ __align__(1024) unsigned char memory[];
  auto* const a = reinterpret_cast<std::byte*>(memory);
  auto* const b = a + kABytes;
  bring(a, p.a, kABytes);
  bring(b, p.b, p.b_bytes);
  fence_async_proxy();
  kernels::device::block_barrier();
  float c[kColumns / 2] = {};
  std::uint32_t fragments[kSteps][4];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) load_a(fragments[step], p.a_rows, step);
  product_fence();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const auto right = step_descriptor(b, p.b_form, step);
    if constexpr (kAInRegisters) {
      multiply_add<kTransposedB>(c, fragments[step], right);
    } else {
      multiply_add<kTransposedA, kTransposedB>(c, step_descriptor(a, p.a_form, step), right);
    }
  }
  commit_products();
  wait_products<0>();
  const int thread = kernels::device::thread_index(), lane = thread % 32;
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const int row = 16 * (thread / 32) + lane / 4 + 8 * (i / 2 % 2);
    p.out[row * kColumns + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = c[i];
  }
}

/// [rows, columns] of numbers as boxes under the swizzle.
std::vector<std::uint8_t> tile_of(const std::vector<float>& matrix, int rows, int columns,
                                  Swizzle swizzle) {
  const auto elements = as_bfloat16(matrix);
  const int span = span_of(swizzle), width = span / 2;
  std::vector<std::uint8_t> bytes(elements.size() * 2);
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      const int at =
          column / width * rows * span + swizzled(row * span + 2 * (column % width), swizzle);
      __builtin_memcpy(&bytes[static_cast<std::size_t>(at)],
                       &elements[static_cast<std::size_t>(row * columns + column)], 2);
    }
  return bytes;
}

std::vector<float> transposed(const std::vector<float>& matrix, int rows, int columns) {
  std::vector<float> result(matrix.size());
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column)
      result[static_cast<std::size_t>(column * rows + row)] =
          matrix[static_cast<std::size_t>(row * columns + column)];
  return result;
}

/// Whether the product of A [64, 64] and B [64, columns] comes out under these forms.
template <int kColumns, bool kTransposedA, bool kTransposedB, bool kAInRegisters = false>
bool is_right(const Form& a_form, const Form& b_form) {
  const auto a = small_numbers(kRows * kInner, 11), b = small_numbers(kInner * kColumns, 13);
  const auto a_tile = kTransposedA
                          ? tile_of(transposed(a, kRows, kInner), kInner, kRows, a_form.swizzle)
                          : tile_of(a, kRows, kInner, a_form.swizzle);
  const auto b_tile =
      kTransposedB ? tile_of(b, kInner, kColumns, b_form.swizzle)
                   : tile_of(transposed(b, kInner, kColumns), kColumns, kInner, b_form.swizzle);
  const DeviceArray<std::uint8_t> a_memory(a_tile), b_memory(b_tile);
  const DeviceArray<std::uint16_t> a_rows(as_bfloat16(a));
  const DeviceArray<float> out(std::vector<float>(kRows * kColumns, -1e30F));
  const Parameters p{a_memory.data(), b_memory.data(), a_rows.data(), 2 * kInner * kColumns,
                     a_form,          b_form,          out.data()};
  kernels::device::launch(product_kernel<kColumns, kTransposedA, kTransposedB, kAInRegisters>, {},
                          kThreads, kABytes + kMostBBytes, p, nullptr);
  const auto c = out.values();
  for (int row = 0; row < kRows; ++row)
    for (int column = 0; column < kColumns; ++column) {
      float sum = 0;
      for (int k = 0; k < kInner; ++k)
        sum += a[static_cast<std::size_t>(row * kInner + k)] *
               b[static_cast<std::size_t>(k * kColumns + column)];
      if (c[static_cast<std::size_t>(row * kColumns + column)] != sum) return false;
    }
  return true;
}

Form with_offsets_exchanged(Form form) {
  std::swap(form.leading_offset, form.stride_offset);
  return form;
}

}  // namespace

void ask_products() {
  answer("A and B with K innermost, swizzle 128: stride 1024 (8 rows), +32 for each k = 16",
         is_right<64, false, false>(kPlain, kPlain));
  answer("the same with N = 128", is_right<128, false, false>(kPlain, kPlain));
  Form other = kPlain;
  other.leading_offset = 0;
  note("there the leading offset is ignored", is_right<64, false, false>(other, other));
  answer("B with K innermost, swizzle 64: stride 512, two boxes of 32",
         is_right<64, false, false>(kPlain, {Swizzle::k64, false, 16, 512, {0, 32, 4096, 4128}}));
  answer("B with K innermost, swizzle 32: stride 256, four boxes of 16",
         is_right<64, false, false>(kPlain, {Swizzle::k32, false, 16, 256, {0, 2048, 4096, 6144}}));
  const Form unswizzled = {Swizzle::kNone, false, 1024, 128, {0, 2048, 4096, 6144}};
  answer("B with K innermost, no swizzle: leading offset along K, stride along N",
         is_right<64, false, false>(kPlain, unswizzled));
  note("there exchanged offsets are right",
       is_right<64, false, false>(kPlain, with_offsets_exchanged(unswizzled)));

  answer("B with N innermost, swizzle 128: stride 1024 (8 of K), +2048 for each k = 16",
         is_right<64, false, true>(kPlain, kTransposed));
  answer("the same with N = 128: leading offset 8192 to the next 64 columns",
         is_right<128, false, true>(kPlain, kTransposed));
  note("there exchanged offsets are right",
       is_right<128, false, true>(kPlain, with_offsets_exchanged(kTransposed)));
  const Form two_boxes = {Swizzle::k64, true, 4096, 512, {0, 1024, 2048, 3072}};
  answer("B with N innermost, swizzle 64: leading offset to the next 32 columns",
         is_right<64, false, true>(kPlain, two_boxes));
  note("there exchanged offsets are right",
       is_right<64, false, true>(kPlain, with_offsets_exchanged(two_boxes)));
  const Form columns_first = {Swizzle::kNone, true, 128, 1024, {0, 256, 512, 768}};
  answer("B with N innermost, no swizzle: leading offset along K, stride along N",
         is_right<64, false, true>(kPlain, columns_first));
  note("there exchanged offsets are right",
       is_right<64, false, true>(kPlain, with_offsets_exchanged(columns_first)));
  answer("A with M innermost, swizzle 128", is_right<64, true, false>(kTransposed, kPlain));
  answer("A from registers, as mma.sync has it", is_right<64, false, false, true>(kPlain, kPlain));
  answer("A from registers, B with N innermost, N = 128",
         is_right<128, false, true, true>(kPlain, kTransposed));
}

}  // namespace zebra::hopper
