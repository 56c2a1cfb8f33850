#pragma once

#include <filesystem>
#include <string>

#include "config/config.h"
#include "data/tokenizer.h"
#include "model/zebra_model.h"

namespace zebra {

/// Writes `folder` with config.json, model.safetensors (HuggingFace's Llama names and shapes, in
/// the model's own type) and tokenizer.model, beside and renamed. An existing folder is refused.
/// Throws InputError or RunError.
void export_huggingface(const Config& config, ZebraModel& model, const Tokenizer& tokenizer,
                        const std::filesystem::path& folder);

/// The text of config.json: Llama's keys with `rope_theta` and `rope_scaling` as yesterday's
/// transformers read them and `rope_parameters` as today's do, `layer_types` and `sliding_window`
/// (window_size + 1) for local layers, and Zebra's own keys, so that a model section can be made
/// from it again.
std::string huggingface_config(const Config& config, const Tokenizer& tokenizer);

}  // namespace zebra
