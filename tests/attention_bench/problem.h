#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "ops/attention.h"

namespace zebra::bench {

/// One shape of local attention on one device.
struct Case {
  torch::DeviceType device = torch::kCPU;
  torch::ScalarType type = torch::kBFloat16;
  std::int64_t batch = 1, length = 0, query_heads = 0, key_heads = 0, head_size = 0, window = 0;
  std::int64_t document_length = 0;  // mean tokens of a document; 0: one document a sequence
};

/// "float32" or "bfloat16".
const char* type_name(torch::ScalarType type);

/// "cpu" or "cuda".
const char* device_name(torch::DeviceType device);

/// "cpu bfloat16 B 1 H 8 Hkv 8 D 64 T 4096 W 512", and the mean length of documents where there
/// are several.
std::string to_string(const Case& shape);

/// Documents of exponentially distributed lengths, the same in every process; none where the case
/// has none. On the CPU.
PackedDocuments documents_of(const Case& shape);

/// What the task needs, however it is computed.
struct Cost {
  /// 4 D per visible pair of query and key and query head, and 10 D backward: two and five matrix
  /// products. Pairs are counted exactly.
  double forward_flops = 0, backward_flops = 0;
  /// Every argument moved once, with e bytes per element, N = B T tokens and float32 tables:
  ///   forward   reads q, k, v and the rotary table, writes out and log_sum_exp:
  ///             e N D (2 Hq + 2 Hkv) + 4 N Hq + 4 T D
  ///   backward  reads q, k, v, out, d_out, log_sum_exp and the table, writes dq, dk, dv:
  ///             e N D (4 Hq + 4 Hkv) + 4 N Hq + 4 T D
  double forward_bytes = 0, backward_bytes = 0;
};
Cost cost_of(const Case& shape, bool rotary);

/// The inputs of a case, which all competitors share: normally distributed, the same in every
/// process.
struct Problem {
  Problem(const Case& shape, bool with_rotary);

  Case shape;
  PackedHeads inputs;    // as one projection gives them
  torch::Tensor d_out;   // [B, T, Hq, D]
  RotaryFactors rotary;  // undefined: none
  PackedDocuments documents;
};

/// The result of a forward and backward: [B, T, H, D] each, of any strides.
struct Result {
  torch::Tensor out, dq, dk, dv;
};

}  // namespace zebra::bench
