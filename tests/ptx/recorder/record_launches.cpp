// Prints the launches of one forward and backward. Arguments, all numbers: batch, length, query
// heads, key heads, head size, window, is float32, rotary table per sequence, then addresses (0:
// absent): packed projection, cos, sin, first_token, out, log_sum_exp, d_out, packed gradient,
// saved, workspace. With addresses left out it prints the bytes that the last two must have.

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "zebra_kernels/local_attention_cuda.h"

using namespace zebra::kernels;

namespace {

template <class Array, class Pointer>
Array part_of(std::uint64_t packed, std::int64_t head, const LocalAttentionShape& s) {
  const std::int64_t row = (s.query_heads + 2 * s.key_heads) * s.head_size;
  const std::int64_t bytes = s.type == ElementType::kFloat32 ? 4 : 2;
  return {
      reinterpret_cast<Pointer>(packed + static_cast<std::uint64_t>(head * s.head_size * bytes)),
      s.length * row, row, s.head_size};
}

template <class Array, class Pointer>
Array dense(std::uint64_t address, const LocalAttentionShape& s) {
  const std::int64_t row = s.query_heads * s.head_size;
  return {reinterpret_cast<Pointer>(address), s.length * row, row, s.head_size};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::uint64_t> a;
  for (int i = 1; i < argc; ++i) a.push_back(std::strtoull(argv[i], nullptr, 10));
  if (a.size() != 8 && a.size() != 18) return 2;
  const auto n = [&](std::size_t i) { return static_cast<std::int64_t>(a[i]); };
  const LocalAttentionShape s{n(0),
                              n(1),
                              n(2),
                              n(3),
                              n(4),
                              n(5),
                              a[6] != 0 ? ElementType::kFloat32 : ElementType::kBfloat16};
  if (a.size() == 8) {
    std::printf("%zu %zu\n", cuda::local_attention_saved_bytes(s),
                cuda::local_attention_backward_workspace_bytes(s));
    return 0;
  }
  LocalAttentionInputs in;
  in.shape = s;
  in.q = part_of<HeadArray, const void*>(a[8], 0, s);
  in.k = part_of<HeadArray, const void*>(a[8], s.query_heads, s);
  in.v = part_of<HeadArray, const void*>(a[8], s.query_heads + s.key_heads, s);
  in.rotary = {reinterpret_cast<const float*>(a[9]), reinterpret_cast<const float*>(a[10]),
               a[7] != 0 ? s.length * s.head_size / 2 : 0, s.head_size / 2};
  in.first_token = reinterpret_cast<const std::int64_t*>(a[11]);
  auto* const log_sum_exp = reinterpret_cast<float*>(a[13]);
  cuda::local_attention_forward({in, dense<MutableHeadArray, void*>(a[12], s), log_sum_exp},
                                reinterpret_cast<void*>(a[16]), nullptr);
  LocalAttentionBackward backward;
  backward.inputs = in;
  backward.out = dense<HeadArray, const void*>(a[12], s);
  backward.log_sum_exp = log_sum_exp;
  backward.d_out = dense<HeadArray, const void*>(a[14], s);
  backward.dq = part_of<MutableHeadArray, void*>(a[15], 0, s);
  backward.dk = part_of<MutableHeadArray, void*>(a[15], s.query_heads, s);
  backward.dv = part_of<MutableHeadArray, void*>(a[15], s.query_heads + s.key_heads, s);
  backward.workspace = reinterpret_cast<void*>(a[17]);
  cuda::local_attention_backward(backward, reinterpret_cast<const void*>(a[16]), nullptr);
  return 0;
}
