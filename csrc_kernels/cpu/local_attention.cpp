#include "zebra_kernels/local_attention.h"

#include <algorithm>
#include <string>

#include "../checks.h"
#include "kernel_table.h"

namespace zebra::kernels {
namespace {

void check_inputs(const LocalAttentionInputs& inputs) {
  check_shape(inputs.shape);
  const auto& s = inputs.shape;
  if (s.batch == 0 || s.length == 0) return;
  check_pointers(inputs);
  if (inputs.first_token == nullptr) return;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t t = 0; t < s.length; ++t) {
      const std::int64_t first = inputs.first_token[b * s.length + t];
      require(first >= 0 && first <= t,
              "first_token of token " + std::to_string(t) + " in sequence " + std::to_string(b) +
                  " must lie between 0 and the token itself, got " + std::to_string(first) + ".");
    }
  }
}

// Enough tasks for the threads of a large machine, where chunks this long exist.
constexpr std::int64_t kWantedTasks = 64;
// A chunk packs the keys of its window once more: shorter chunks would do little else.
constexpr std::int64_t kSmallestChunkTiles = 4, kWindowsPerChunk = 2;

/// `array`, which begins at token `begin`, as an array from token 0 on, whose first tokens nobody
/// touches: kernels count all tokens alike.
template <class Array>
Array counted_from_zero(Array array, std::int64_t begin, ElementType type) {
  const std::int64_t size = type == ElementType::kFloat32 ? 4 : 2;
  const auto address = reinterpret_cast<std::uintptr_t>(array.data);
  const auto bytes = static_cast<std::uintptr_t>(begin * array.token_stride * size);
  array.data = reinterpret_cast<decltype(array.data)>(address - bytes);
  return array;
}

template <class Arguments>
Arguments with_queries_from_zero(Arguments arguments) {
  const auto& shape = arguments.inputs.shape;
  const auto move = [&](auto& array) {
    array = counted_from_zero(array, shape.query_begin, shape.type);
  };
  move(arguments.inputs.q);
  move(arguments.out);
  if constexpr (requires { arguments.d_out; }) {
    move(arguments.d_out);
    move(arguments.dq);
  }
  return arguments;
}

bool is_empty(const LocalAttentionShape& s) { return s.batch == 0 || s.queries() == 0; }

}  // namespace

LocalAttentionPlan local_attention_plan(const LocalAttentionShape& s, std::int64_t head_unit) {
  LocalAttentionPlan plan;
  plan.tiles = (s.length + kTile - 1) / kTile;
  plan.first_tile = s.query_begin / kTile;
  plan.window_tiles = std::min(s.window / kTile + (s.window % kTile != 0), plan.tiles - 1);
  const auto heads = s.batch * s.key_heads, query_tiles = plan.tiles - plan.first_tile;
  plan.chunk_tiles = std::max({query_tiles * heads / kWantedTasks,
                               kWindowsPerChunk * plan.window_tiles, kSmallestChunkTiles});
  plan.chunk_tiles = std::min(plan.chunk_tiles, query_tiles);
  plan.chunks = (query_tiles + plan.chunk_tiles - 1) / plan.chunk_tiles;
  plan.padded_head = (s.head_size + head_unit - 1) / head_unit * head_unit;
  return plan;
}

std::size_t local_attention_backward_workspace_bytes(const LocalAttentionShape& shape) {
  check_shape(shape);
  if (is_empty(shape)) return 0;
  const auto plan =
      local_attention_plan(shape, kLargestHeadUnit);  // enough for every instruction set
  return sizeof(float) *
         static_cast<std::size_t>(shape.batch * shape.key_heads * (plan.chunks - 1) * 2 *
                                  plan.window_tiles * partial_floats(plan));
}

void local_attention_forward(const LocalAttentionForward& arguments,
                             const ParallelFor& parallel_for,
                             std::optional<InstructionSet> instruction_set) {
  const auto& shape = arguments.inputs.shape;
  check_inputs(arguments.inputs);
  const auto& table = kernel_table("local attention", instruction_set, shape.type);
  if (is_empty(shape)) return;
  require(arguments.out.data != nullptr, "out must not be null.");
  const auto plan = local_attention_plan(shape, table.attention_head_unit);
  const auto from_zero = with_queries_from_zero(arguments);
  parallel_for(shape.batch * shape.key_heads * plan.chunks,
               [&](std::int64_t task) { table.attention_forward(from_zero, plan, task); });
}

void local_attention_backward(const LocalAttentionBackward& arguments,
                              const ParallelFor& parallel_for,
                              std::optional<InstructionSet> instruction_set) {
  const auto& shape = arguments.inputs.shape;
  check_inputs(arguments.inputs);
  const auto& table = kernel_table("local attention", instruction_set, shape.type);
  require(shape.queries() > 0 || shape.length == 0,
          "the backward of keys without a single query is not computed.");
  if (is_empty(shape)) return;
  require(arguments.out.data != nullptr && arguments.log_sum_exp != nullptr &&
              arguments.d_out.data != nullptr,
          "the backward needs out and log_sum_exp of the forward, and d_out.");
  require(
      arguments.dq.data != nullptr && arguments.dk.data != nullptr && arguments.dv.data != nullptr,
      "dq, dk and dv must not be null.");
  require(arguments.workspace != nullptr || local_attention_backward_workspace_bytes(shape) == 0,
          "the backward needs a workspace of local_attention_backward_workspace_bytes() bytes.");
  const auto plan = local_attention_plan(shape, table.attention_head_unit);
  const auto heads = shape.batch * shape.key_heads;
  const auto from_zero = with_queries_from_zero(arguments);
  parallel_for(heads * plan.chunks,
               [&](std::int64_t task) { table.attention_backward(from_zero, plan, task); });
  const auto joins = heads * (plan.chunks - 1) * plan.window_tiles;
  if (joins > 0)
    parallel_for(joins, [&](std::int64_t task) { table.attention_join(from_zero, plan, task); });
}

}  // namespace zebra::kernels
