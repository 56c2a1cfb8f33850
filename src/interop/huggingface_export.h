#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "config/config.h"
#include "config/names.h"
#include "data/chat_renderer.h"
#include "data/tokenizer.h"
#include "interop/tokenizer_json.h"
#include "model/zebra_model.h"

namespace zebra {

/// Which architecture of transformers an export names. `zebra` is our own: modeling_zebra.py, of
/// the folder scripts/huggingface, travels with the weights and needs trust_remote_code.
enum class ExportedArchitecture { llama, mistral, cwm, zebra };

/// Their names in config.json, as model_type.
template <>
struct EnumNames<ExportedArchitecture> {
  static constexpr NameTable<ExportedArchitecture, 4> kTable{
      {{ExportedArchitecture::llama, "llama"},
       {ExportedArchitecture::mistral, "mistral"},
       {ExportedArchitecture::cwm, "cwm"},
       {ExportedArchitecture::zebra, "zebra"}}};
};

/// A stock architecture wherever one computes exactly what the model does, generation included:
/// llama where every layer is global, mistral where every layer is local, cwm (Llama's body with a
/// kind for each layer) for mixed layouts. What no layer uses does not count. `zebra` is for
///   - another theta or another scaling for each kind of layer, where both kinds are there;
///   - no rotary embedding in a kind of layer that is there;
///   - QK-norm, and attention sinks where layers are local;
///   - dynamic scaling: transformers starts it at max_position_embeddings, lets it grow with every
///     new token while the keys in the cache keep their old rotation, and remembers the longest
///     sequence of earlier calls;
///   - window_size 0 where layers are local: transformers' cache of a window of one key keeps all;
///   - a hidden_size that the number of heads does not divide, which transformers refuses.
/// Linear and YaRN scaling are the same in both.
ExportedArchitecture exported_architecture(const ModelConfig& model);

/// The release of transformers that exports are tested with, as scripts/requirements.txt has it.
/// transformers reads it in config.json, to repair what older releases wrote.
inline constexpr const char* kTransformersVersion = "5.24.0";

/// The text of config.json: the keys of the architecture; the rotary embedding both as
/// transformers before version 5 spells it (`rope_theta`, `rope_scaling`) and as later ones do
/// (`rope_parameters`); `sliding_window` = window_size + 1, because there a token itself counts.
/// `zebra` has our own keys besides, so that the model section can be made from it again. The type
/// of the weights is that of train.precision.
std::string exported_config(const Config& config, DocumentTokens tokens);

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
