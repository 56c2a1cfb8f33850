#include "zebra_kernels/local_attention_cuda.h"

#include <cstdint>
#include <string>

#include "../checks.h"
#include "device.h"
#include "kernel_classes.h"

namespace zebra::kernels::cuda {
namespace {

/// The bfloat16 kernels are made of mma.sync, ldmatrix and cp.async.
void check_compute_capability() {
  const int capability = device::compute_capability();
  if (capability >= 80) return;
  throw std::runtime_error(
      "local attention: the CUDA kernels need a GPU of compute capability 8.0 or later, this one "
      "has " +
      std::to_string(capability / 10) + "." + std::to_string(capability % 10) + ".");
}

/// Calls f with the head size as a compile-time constant.
template <class F>
void with_head_size(std::int64_t head_size, const F& f) {
  switch (head_size) {
    case 32:
      return f(std::integral_constant<int, 32>());
    case 64:
      return f(std::integral_constant<int, 64>());
    case 96:
      return f(std::integral_constant<int, 96>());
    case 128:
      return f(std::integral_constant<int, 128>());
    default:
      require(false, "on CUDA the head size must be 32, 64, 96 or 128, got " +
                         std::to_string(head_size) + ".");
  }
}

void check_cuda_shape(const LocalAttentionShape& s) {
  check_shape(s);
  require(s.query_begin == 0, "on CUDA every token must have a query.");
  require(
      has_local_attention(s.head_size),
      "on CUDA the head size must be 32, 64, 96 or 128, got " + std::to_string(s.head_size) + ".");
  require(s.query_heads <= 65535 && s.batch <= 65535,
          "on CUDA there may be at most 65535 query heads and sequences, got " +
              std::to_string(s.query_heads) + " and " + std::to_string(s.batch) + ".");
  require(s.length < (std::int64_t{1} << 30) &&
              s.batch * ampere::padded_length(s) < (std::int64_t{1} << 30),
          "on CUDA there may be fewer than 2^30 tokens, got " + std::to_string(s.batch) + " x " +
              std::to_string(s.length) + ".");
}

bool is_aligned(const void* pointer, std::uintptr_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

/// bfloat16 rows move 16 bytes at a time.
template <class Array>
void check_rows(const Array& x, const LocalAttentionShape& s, const char* name) {
  require(x.data != nullptr, std::string(name) + " must not be null.");
  if (s.type != ElementType::kBfloat16) return;
  require(
      is_aligned(x.data, 16) && x.batch_stride % 8 == 0 && x.token_stride % 8 == 0 &&
          x.head_stride % 8 == 0,
      std::string("on CUDA the rows of ") + name +
          " must be aligned to 16 bytes: its address, and its strides in multiples of 8 elements.");
}

void check_inputs(const LocalAttentionInputs& in) {
  check_pointers(in);
  check_rows(in.q, in.shape, "q");
  check_rows(in.k, in.shape, "k");
  check_rows(in.v, in.shape, "v");
  if (in.shape.type != ElementType::kBfloat16) return;
  require(is_aligned(in.rotary.cos, 16) && is_aligned(in.rotary.sin, 16) &&
              in.rotary.batch_stride % 4 == 0 && in.rotary.token_stride % 4 == 0,
          "on CUDA the rows of the rotary tables must be aligned to 16 bytes.");
}

}  // namespace

bool has_local_attention(std::int64_t head_size) {
  return head_size == 32 || head_size == 64 || head_size == 96 || head_size == 128;
}

std::size_t local_attention_saved_bytes(const LocalAttentionShape& shape) {
  check_cuda_shape(shape);
  MemoryLayout memory(nullptr);
  if (shape.type == ElementType::kBfloat16) ampere::take_prepared(memory, shape);
  return memory.bytes();
}

std::size_t local_attention_backward_workspace_bytes(const LocalAttentionShape& shape) {
  check_cuda_shape(shape);
  MemoryLayout memory(nullptr);
  if (shape.type == ElementType::kBfloat16) {
    ampere::take_prepared_queries(memory, shape);
  } else {
    float32::take_delta(memory, shape);
  }
  return memory.bytes();
}

void local_attention_forward(const LocalAttentionForward& arguments, void* saved,
                             CUstream_st* stream) {
  const auto& shape = arguments.inputs.shape;
  check_cuda_shape(shape);
  if (shape.batch == 0 || shape.length == 0) return;
  check_inputs(arguments.inputs);
  check_rows(arguments.out, shape, "out");
  require(saved != nullptr || local_attention_saved_bytes(shape) == 0,
          "the forward needs local_attention_saved_bytes() bytes to leave for the backward.");
  with_head_size(shape.head_size, [&](auto head_size) {
    if (shape.type == ElementType::kFloat32) {
      return float32::forward<head_size>(arguments, stream);
    }
    check_compute_capability();
    ampere::forward<head_size>(arguments, saved, stream);
  });
}

void local_attention_backward(const LocalAttentionBackward& arguments, const void* saved,
                              CUstream_st* stream) {
  const auto& shape = arguments.inputs.shape;
  check_cuda_shape(shape);
  if (shape.batch == 0 || shape.length == 0) return;
  check_inputs(arguments.inputs);
  check_rows(arguments.out, shape, "out");
  check_rows(arguments.d_out, shape, "d_out");
  check_rows(arguments.dq, shape, "dq");
  check_rows(arguments.dk, shape, "dk");
  check_rows(arguments.dv, shape, "dv");
  require(arguments.log_sum_exp != nullptr, "the backward needs log_sum_exp of the forward.");
  require(saved != nullptr || local_attention_saved_bytes(shape) == 0,
          "the backward needs what the forward has left.");
  require(arguments.workspace != nullptr,
          "the backward needs a workspace of local_attention_backward_workspace_bytes() bytes.");
  with_head_size(shape.head_size, [&](auto head_size) {
    if (shape.type == ElementType::kFloat32) {
      return float32::backward<head_size>(arguments, stream);
    }
    check_compute_capability();
    ampere::backward<head_size>(arguments, saved, stream);
  });
}

}  // namespace zebra::kernels::cuda
