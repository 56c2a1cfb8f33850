#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "config/config.h"
#include "data/chat_renderer.h"
#include "data/tokenizer.h"
#include "interop/exported_config.h"
#include "model/zebra_model.h"

namespace zebra {

/// Bytes of tensors that one safetensors file of an export holds at most (a tensor is never split).
inline constexpr std::int64_t kDefaultShardBytes = 5'000'000'000;

/// Throws InputError when the folder exists: an export replaces nothing.
void require_new_export(const std::filesystem::path& folder);

/// Writes `folder` as transformers opens it: config.json (see exported_config), the weights in
/// the model's own type under HuggingFace's Llama names, tokenizer.json where it is exact (see
/// tokenizer_json.h; else the reason is logged), tokenizer_config.json, the tokenizer's own files,
/// generation_config.json, and modeling_zebra.py where no stock architecture holds the model.
/// Weights of more than `shard_bytes` become model-00001-of-0000N.safetensors with
/// model.safetensors.index.json. Each tensor is copied to the host only while it is written.
///
/// With a chat template, of the same tokenizer, also chat_template.jinja; names of control tokens
/// are these tokens then, and generation ends with the one that ends an answer, too.
///
/// Everything is written beside `folder`, flushed to the disk and renamed. An existing folder is
/// refused. Throws InputError or RunError.
void export_huggingface(const Config& config, ZebraModel& model, const Tokenizer& tokenizer,
                        const std::filesystem::path& folder,
                        std::int64_t shard_bytes = kDefaultShardBytes,
                        const ChatRenderer* chat = nullptr);

}  // namespace zebra
