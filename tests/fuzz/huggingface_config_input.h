#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "interop/huggingface_config.h"

namespace zebra::testing {

/// Reads `input` as a config.json. Anything thrown is a finding.
inline void try_huggingface_config(std::string_view input) {
  Problems problems;
  const auto config = read_huggingface_config(std::string(input), "config.json", problems);
  if (config.has_value() != problems.empty())
    throw std::logic_error("a result with problems, or none without");
  if (!config) return;
  const auto& model = config->model;
  for (const auto size : {model.hidden_size, model.intermediate_size, model.num_hidden_layers,
                          model.num_attention_heads, model.vocab_size.value_or(0)}) {
    if (size < 1) throw std::logic_error("a size is not positive");
  }
  if (!model.head_dim || !model.num_key_value_heads || !model.max_position_embeddings)
    throw std::logic_error("a size is absent");
  const auto& pattern = model.attention_pattern;
  if (!pattern || pattern->size() != static_cast<std::size_t>(model.num_hidden_layers) ||
      pattern->find_first_not_of("GL") != std::string::npos)
    throw std::logic_error("not one letter per layer");
}

}  // namespace zebra::testing
