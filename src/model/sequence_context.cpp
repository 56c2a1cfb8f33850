#include "model/sequence_context.h"

#include "model/rotary_frequencies.h"

namespace zebra {

SequenceContext make_sequence_context(const ModelSection& model, std::int64_t length,
                                      torch::Device device, const PackedDocuments& documents,
                                      std::int64_t first_position, std::int64_t longest) {
  SequenceContext context;
  context.documents = documents;
  context.window = model.window_size.value_or(0);
  auto positions = torch::arange(first_position, first_position + length,
                                 torch::TensorOptions(device).dtype(torch::kInt64));
  if (documents.is_packed()) positions = positions.unsqueeze(0) - documents.first_token;
  if (longest == 0) longest = first_position + length;

  const auto global = rotary_frequencies(model, LayerKind::global, longest);
  const auto local = rotary_frequencies(model, LayerKind::local, longest);
  context.global = rotary_factors(global, positions);
  context.local = local == global ? context.global : rotary_factors(local, positions);
  return context;
}

}  // namespace zebra
