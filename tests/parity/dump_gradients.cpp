// Writes logits, loss and the gradient of every tensor of a checkpoint's model, for comparison with
// an implementation that shares no code with ours (tests/end_to_end/test_parity.py).
//
// usage: zebra_dump_gradients CHECKPOINT INPUT.safetensors OUTPUT.safetensors
//   INPUT   tokens and targets, int64 [B, T], and document_begins, int64 [B, T], 1 where a new
//   document begins OUTPUT  logits [B, T, V], loss (summed over the targets), and gradients under
//   HuggingFace's names

#include <iostream>

#include "checkpoint/model_state.h"
#include "checkpoint/safetensors.h"

namespace zebra {
namespace {

PackedDocuments documents_of(const torch::Tensor& begins) {
  if (!begins.any().item<bool>()) return {};
  std::vector<std::vector<std::int64_t>> starts(static_cast<std::size_t>(begins.size(0)));
  for (std::int64_t row = 0; row < begins.size(0); ++row) {
    for (std::int64_t t = 1; t < begins.size(1); ++t) {
      if (begins[row][t].item<std::int64_t>() != 0)
        starts[static_cast<std::size_t>(row)].push_back(t);
    }
  }
  return PackedDocuments::from_starts(starts, begins.size(1));
}

void dump(const std::string& checkpoint, const std::string& input_path,
          const std::string& output_path) {
  auto loaded = load_model(checkpoint);
  for (auto& parameter : loaded.model->parameters()) parameter.set_requires_grad(true);
  const SafetensorsFile input(input_path);
  const auto tokens = input.tensor("tokens").clone();
  const auto documents = documents_of(input.tensor("document_begins").clone());
  const auto loss = loaded.model->loss(tokens, input.tensor("targets").clone(), documents);
  loss.objective.backward();

  std::vector<NamedValues> values = {{"loss", loss.cross_entropy}};
  {
    const torch::NoGradGuard no_grad;
    values.push_back({"logits", loaded.model->logits(loaded.model->forward(tokens, documents))});
  }
  for (const auto& unit : loaded.model->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto gradient = parameter.tensor.grad().contiguous().view({-1});
      std::int64_t begin = 0;
      for (const auto& part : parameter.spec.parts) {
        values.push_back({part.name, gradient.narrow(0, begin, part.numel()).view(part.shape)});
        begin += part.numel();
      }
    }
  }
  write_safetensors(output_path, values);
}

}  // namespace
}  // namespace zebra

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: zebra_dump_gradients CHECKPOINT INPUT.safetensors OUTPUT.safetensors\n";
    return 2;
  }
  zebra::dump(argv[1], argv[2], argv[3]);
  return 0;
}
