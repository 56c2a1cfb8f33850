#include <algorithm>
#include <memory>

#include "../checks.h"
#include "kernel_table.h"

// Checks, and cutting into tasks. How a problem is cut depends on
// its shape alone: the number of threads never changes a bit.

namespace zebra::kernels {
namespace {

// Of memory that a task reads and writes: many tasks for the threads of a large machine, each long
// against the start of a task.
constexpr std::int64_t kTaskBytes = 48 * 1024;

std::int64_t size_of(ElementType type) { return type == ElementType::kFloat32 ? 4 : 2; }

/// Rows (or elements, or tokens) of a task that touches `bytes` for each.
std::int64_t rows_of_task(std::int64_t bytes) {
  return std::max<std::int64_t>(1, kTaskBytes / bytes);
}

/// body(span) for each `step` of [0, count).
template <class Body>
void for_spans(std::int64_t count, std::int64_t step, const ParallelFor& parallel_for,
               const Body& body) {
  if (count == 0) return;
  parallel_for((count + step - 1) / step, [&](std::int64_t task) {
    body(Span{task * step, std::min(count, (task + 1) * step)});
  });
}

/// Rows whose part of d_weight is one row of the workspace: enough that this row costs little
/// beside them.
std::int64_t rms_norm_block_rows(const RmsNormShape& s) {
  return std::max<std::int64_t>(16, rows_of_task(4 * s.width * size_of(s.type)));
}

std::int64_t rms_norm_blocks(const RmsNormShape& s) {
  const auto rows = rms_norm_block_rows(s);
  return (s.rows + rows - 1) / rows;
}

/// Keys of a task, by their bytes and those of their values: few, so that the window of a local
/// layer is several tasks too, and enough that what a task hands on is little beside them.
std::int64_t cached_keys_of_task(const CachedAttention& a) {
  constexpr std::int64_t kBytes = 256 * 1024;
  const auto key = 2 * a.key_heads * a.head_size * size_of(a.type);
  return std::max<std::int64_t>(1, kBytes / key / kCachedTile) * kCachedTile;
}

}  // namespace

std::size_t rms_norm_backward_workspace_bytes(const RmsNormShape& shape) {
  check_shape(shape);
  return sizeof(float) *
         static_cast<std::size_t>(rms_norm_blocks(shape) * padded_width(shape.width));
}

void rms_norm_forward(const RmsNormForward& arguments, const ParallelFor& parallel_for,
                      std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& s = arguments.shape;
  const auto& table = kernel_table("RMSNorm", instruction_set, s.type);
  const auto step = rows_of_task((arguments.added == nullptr ? 2 : 4) * s.width * size_of(s.type));
  for_spans(s.rows, step, parallel_for,
            [&](Span rows) { table.rms_norm_forward(arguments, rows); });
}

void rms_norm_backward(const RmsNormBackward& arguments, const ParallelFor& parallel_for,
                       std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& s = arguments.shape;
  const auto& table = kernel_table("RMSNorm", instruction_set, s.type);
  const auto step = rms_norm_block_rows(s), width = padded_width(s.width);
  auto* const workspace = static_cast<float*>(arguments.workspace);
  for_spans(s.rows, step, parallel_for, [&](Span rows) {
    table.rms_norm_backward(arguments, rows, workspace + rows.begin / step * width);
  });
  for_spans(s.width, 2 * kColumnUnit, parallel_for,
            [&](Span columns) { table.rms_norm_join(arguments, columns, rms_norm_blocks(s)); });
}

void swiglu_forward(const SwigluForward& arguments, const ParallelFor& parallel_for,
                    std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& s = arguments.shape;
  const auto& table = kernel_table("SwiGLU", instruction_set, s.type);
  for_spans(s.rows, rows_of_task(3 * s.width * size_of(s.type)), parallel_for,
            [&](Span rows) { table.swiglu_forward(arguments, rows); });
}

void swiglu_backward(const SwigluBackward& arguments, const ParallelFor& parallel_for,
                     std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& s = arguments.shape;
  const auto& table = kernel_table("SwiGLU", instruction_set, s.type);
  for_spans(s.rows, rows_of_task(6 * s.width * size_of(s.type)), parallel_for,
            [&](Span rows) { table.swiglu_backward(arguments, rows); });
}

void cross_entropy(const CrossEntropy& arguments, const ParallelFor& parallel_for,
                   std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& a = arguments;
  const auto& table = kernel_table("cross-entropy", instruction_set, a.type);
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const auto target = a.targets[row];
    if (target != kNoTarget && (target < 0 || target >= a.vocabulary))
      require(false, "cross-entropy",
              "the target of row " + std::to_string(row) + " must be below the vocabulary of " +
                  std::to_string(a.vocabulary) + ", got " + std::to_string(target) + ".");
  }
  for_spans(a.rows, rows_of_task(2 * a.vocabulary * size_of(a.type)), parallel_for,
            [&](Span rows) { table.cross_entropy(arguments, rows); });
}

void adamw_update(const AdamwUpdate& arguments, const ParallelFor& parallel_for,
                  std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& table = kernel_table("AdamW", instruction_set, ElementType::kFloat32);
  if (arguments.step->applies == 0) return;
  constexpr std::int64_t kStep = 2048;  // a multiple of every vector; some 60 KB
  for_spans(arguments.size, kStep, parallel_for,
            [&](Span elements) { table.adamw_update(arguments, elements); });
}

void embedding_backward(const EmbeddingBackward& arguments, const ParallelFor& parallel_for,
                        std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& a = arguments;
  const auto& table = kernel_table("embedding", instruction_set, a.type);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    const auto token = a.sorted_tokens[i], row = a.order[i];
    if (token < (i == 0 ? 0 : a.sorted_tokens[i - 1]) || token >= a.vocabulary)
      require(false, "embedding",
              "sorted_tokens must ascend and lie below the vocabulary of " +
                  std::to_string(a.vocabulary) + ", got " + std::to_string(token) +
                  " at position " + std::to_string(i) + ".");
    if (row < 0 || row >= a.rows)
      require(false, "embedding",
              "order must hold rows below " + std::to_string(a.rows) + ", got " +
                  std::to_string(row) + " at position " + std::to_string(i) + ".");
  }
  // A token that occurs very often is one task's work: narrow columns keep it short.
  constexpr std::int64_t kPositions = 32, kColumns = 128;
  const auto columns = (a.width + kColumns - 1) / kColumns;
  const auto positions = (a.rows + kPositions - 1) / kPositions;
  for_spans(positions * columns, 1, parallel_for, [&](Span task) {
    const auto p = task.begin / columns * kPositions, c = task.begin % columns * kColumns;
    table.embedding_backward(arguments, {p, std::min(a.rows, p + kPositions)},
                             {c, std::min(a.width, c + kColumns)});
  });
}

void cached_attention(const CachedAttention& arguments, const ParallelFor& parallel_for,
                      std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& a = arguments;
  const auto& table = kernel_table("cached attention", instruction_set, a.type);
  if (a.batch == 0) return;
  const auto step = cached_keys_of_task(a), blocks = (a.keys + step - 1) / step;
  const auto floats = cached_task_floats(a);
  const auto partials =
      std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(a.batch * blocks * floats));
  for_spans(a.batch * blocks, 1, parallel_for, [&](Span task) {
    const auto first = task.begin % blocks * step;
    table.cached_attention(a, task.begin / blocks, {first, std::min(a.keys, first + step)},
                           partials.get() + task.begin * floats);
  });
  for_spans(a.batch, 1, parallel_for, [&](Span sequence) {
    table.cached_attention_join(a, sequence.begin, blocks,
                                partials.get() + sequence.begin * blocks * floats);
  });
}

void rotary(const Rotary& arguments, const ParallelFor& parallel_for,
            std::optional<InstructionSet> instruction_set) {
  check_arguments(arguments);
  const auto& a = arguments;
  const auto& table = kernel_table("rotary", instruction_set, a.type);
  if (a.heads == 0) return;
  for_spans(a.batch * a.length, rows_of_task(2 * a.heads * a.head_size * size_of(a.type)),
            parallel_for, [&](Span tokens) { table.rotary(arguments, tokens); });
}

}  // namespace zebra::kernels
