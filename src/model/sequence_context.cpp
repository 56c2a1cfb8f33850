#include "model/sequence_context.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace zebra {
namespace {

std::vector<double> plain_frequencies(double theta, std::int64_t head_dim) {
  std::vector<double> frequencies;
  for (std::int64_t j = 0; j < head_dim / 2; ++j) {
    frequencies.push_back(
        std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim)));
  }
  return frequencies;
}

// NTK-aware base: the lowest frequency is interpolated by the whole stretch, the highest not at
// all.
double dynamic_theta(double theta, const RopeScalingConfig& scaling, std::int64_t head_dim,
                     std::int64_t longest) {
  const double original = static_cast<double>(scaling.original_max_position_embeddings);
  const double length = std::max(static_cast<double>(longest), original);
  const double stretch = scaling.factor * length / original - (scaling.factor - 1.0);
  const double dim = static_cast<double>(head_dim);
  return theta * std::pow(stretch, dim / (dim - 2.0));
}

// The (fractional) pair that turns `rotations` times within the original length.
double pair_of_rotations(double rotations, double theta, std::int64_t head_dim, double original) {
  return static_cast<double>(head_dim) * std::log(original / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(theta));
}

// Pairs that turn often keep their frequency, pairs that turn less than once are interpolated, a
// ramp lies between.
void apply_yarn(std::vector<double>& frequencies, const RopeScalingConfig& scaling, double theta,
                std::int64_t head_dim) {
  const double original = static_cast<double>(scaling.original_max_position_embeddings);
  const double low =
      std::max(std::floor(pair_of_rotations(scaling.beta_fast, theta, head_dim, original)), 0.0);
  double high = std::min(std::ceil(pair_of_rotations(scaling.beta_slow, theta, head_dim, original)),
                         static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const double interpolated = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] =
        frequencies[j] / scaling.factor * interpolated + frequencies[j] * (1.0 - interpolated);
  }
}

// Pairs that turn often over the original length keep their frequency, slow ones are interpolated
// in full; between the two, in the number of turns, lies a ramp.
void apply_llama3(std::vector<double>& frequencies, const RopeScalingConfig& scaling) {
  const double original = static_cast<double>(scaling.original_max_position_embeddings);
  for (auto& frequency : frequencies) {
    const double turns = original * frequency / (2.0 * std::numbers::pi);
    const double kept = std::clamp(
        (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor),
        0.0, 1.0);
    frequency *= kept + (1.0 - kept) / scaling.factor;
  }
}

}  // namespace

RotaryFrequencies rotary_frequencies(const ModelConfig& model, LayerKind kind,
                                     std::int64_t longest) {
  const auto scaling = model.rope_scaling_of(kind);
  const auto head_dim = model.head_dim;
  double theta = model.rope_theta_of(kind);
  RotaryFrequencies result;
  if (theta == 0.0) return result;
  // With D = 2 the only pair is the highest frequency, which dynamic NTK leaves alone.
  if (scaling.type == RopeScaling::dynamic && head_dim > 2)
    theta = dynamic_theta(theta, scaling, head_dim, longest);
  result.radians_per_token = plain_frequencies(theta, head_dim);
  if (scaling.type == RopeScaling::linear) {
    for (auto& frequency : result.radians_per_token) frequency /= scaling.factor;
  } else if (scaling.type == RopeScaling::yarn) {
    apply_yarn(result.radians_per_token, scaling, theta, head_dim);
    if (scaling.factor > 1.0) result.amplitude = 0.1 * std::log(scaling.factor) + 1.0;
  } else if (scaling.type == RopeScaling::llama3) {
    apply_llama3(result.radians_per_token, scaling);
  }
  return result;
}

RotaryFactors rotary_factors(const RotaryFrequencies& frequencies, const torch::Tensor& positions) {
  if (frequencies.radians_per_token.empty()) return {};
  const auto radians =
      torch::tensor(frequencies.radians_per_token, torch::kFloat64).to(positions.device());
  const auto angles = positions.to(torch::kFloat64).unsqueeze(-1) * radians;
  return {(angles.cos() * frequencies.amplitude).to(torch::kFloat32),
          (angles.sin() * frequencies.amplitude).to(torch::kFloat32)};
}

RotaryFactors RotaryTables::of(LayerKind kind, std::int64_t length, std::int64_t longest,
                               torch::Device device) {
  const auto frequencies = rotary_frequencies(model_, kind, longest);
  if (frequencies.radians_per_token.empty()) return {};
  auto& table = kind == LayerKind::global ? global_ : local_;
  const auto& cos = table.factors.cos;
  const bool is_of_these =
      cos.defined() && cos.device() == device && table.frequencies == frequencies;
  if (!is_of_these || cos.size(0) < length) {
    // Of a text that grows token by token few tables are made.
    const auto rows = is_of_these ? std::max(length, 2 * cos.size(0)) : length;
    const auto positions = torch::arange(rows, torch::TensorOptions(device).dtype(torch::kInt64));
    table = {frequencies, rotary_factors(frequencies, positions)};
  }
  return table.factors;
}

namespace {

// The factors of both kinds of layer, of which `of` gives those of one.
template <class FactorsOf>
void set_factors(SequenceContext& context, const ModelConfig& model, std::int64_t longest,
                 const FactorsOf& of) {
  context.global = of(LayerKind::global);
  const bool is_shared = rotary_frequencies(model, LayerKind::local, longest) ==
                         rotary_frequencies(model, LayerKind::global, longest);
  context.local = is_shared ? context.global : of(LayerKind::local);
}

torch::Tensor rows_at(const torch::Tensor& table, const torch::Tensor& positions) {
  auto shape = positions.sizes().vec();
  shape.push_back(table.size(1));
  return table.index_select(0, positions.flatten()).view(shape);
}

}  // namespace

SequenceContext make_sequence_context(RotaryTables& tables, std::int64_t length,
                                      torch::Device device, const PackedDocuments& documents,
                                      std::int64_t first_position, std::int64_t longest) {
  SequenceContext context;
  context.documents = documents;
  context.window = tables.model().window_size;
  if (longest == 0) longest = first_position + length;

  torch::Tensor positions;  // [B, T] where documents make them differ between sequences
  if (documents.is_packed()) {
    positions = torch::arange(first_position, first_position + length,
                              torch::TensorOptions(device).dtype(torch::kInt64))
                    .unsqueeze(0) -
                documents.first_token;
  }
  const auto rows = [&](const torch::Tensor& table) {
    if (!table.defined()) return table;
    if (!positions.defined()) return table.narrow(0, first_position, length);
    return rows_at(table, positions);
  };
  set_factors(context, tables.model(), longest, [&](LayerKind kind) -> RotaryFactors {
    const auto table = tables.of(kind, first_position + length, longest, device);
    return {rows(table.cos), rows(table.sin)};
  });
  return context;
}

SequenceContext make_shared_context(RotaryTables& tables, ContextExchange& exchange,
                                    std::int64_t batch, std::int64_t length, torch::Device device,
                                    std::int64_t window, const PackedDocuments& documents) {
  const auto share = exchange.share();
  const auto whole_length = length * share.ranks;
  const auto options = torch::TensorOptions(device).dtype(torch::kInt64);
  auto positions = share.part_of(torch::arange(whole_length, options).unsqueeze(0));
  if (documents.is_packed()) positions = positions - documents.first_token;
  if (positions.size(0) == 1) positions = positions.squeeze(0);

  SequenceContext context;
  context.documents = documents;
  context.window = window;
  context.chunks =
      make_context_chunks(exchange, batch, length, device, window, documents.first_token);
  set_factors(context, tables.model(), whole_length, [&](LayerKind kind) -> RotaryFactors {
    const auto table = tables.of(kind, whole_length, whole_length, device);
    if (!table.defined()) return {};
    return {rows_at(table.cos, positions), rows_at(table.sin, positions)};
  });
  return context;
}

SequenceContext make_sequence_context(const ModelConfig& model, std::int64_t length,
                                      torch::Device device, const PackedDocuments& documents,
                                      std::int64_t first_position, std::int64_t longest) {
  RotaryTables tables(model);
  return make_sequence_context(tables, length, device, documents, first_position, longest);
}

namespace {

RotaryFactors stacked_factors(const std::vector<SequenceContext>& rows,
                              RotaryFactors SequenceContext::*kind) {
  if (!(rows.front().*kind).defined()) return {};
  std::vector<torch::Tensor> cos, sin;
  for (const auto& row : rows) {
    cos.push_back((row.*kind).cos);
    sin.push_back((row.*kind).sin);
  }
  return {torch::stack(cos), torch::stack(sin)};
}

}  // namespace

SequenceContext stack_contexts(const std::vector<SequenceContext>& rows) {
  SequenceContext context;
  context.window = rows.front().window;
  context.global = stacked_factors(rows, &SequenceContext::global);
  context.local = stacked_factors(rows, &SequenceContext::local);
  return context;
}

}  // namespace zebra
