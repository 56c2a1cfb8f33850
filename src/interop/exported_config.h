#pragma once

#include <string>

#include "config/config.h"
#include "config/names.h"
#include "interop/tokenizer_json.h"

namespace zebra {

/// Which architecture of transformers an export names. `zebra` is our own: modeling_zebra.py, of
/// the folder scripts/huggingface, travels with the weights and needs trust_remote_code.
enum class ExportedArchitecture { llama, mistral, cwm, qwen3, olmo3, granite_swa, zebra };

/// Their names in config.json, as model_type.
template <>
struct EnumNames<ExportedArchitecture> {
  static constexpr NameTable<ExportedArchitecture, 7> kTable{
      {{ExportedArchitecture::llama, "llama"},
       {ExportedArchitecture::mistral, "mistral"},
       {ExportedArchitecture::cwm, "cwm"},
       {ExportedArchitecture::qwen3, "qwen3"},
       {ExportedArchitecture::olmo3, "olmo3"},
       {ExportedArchitecture::granite_swa, "granite_swa"},
       {ExportedArchitecture::zebra, "zebra"}}};
};

/// A stock architecture wherever one computes exactly what the model does, generation included, the
/// oldest that does:
///   - llama where every layer is global, mistral where every layer is local, cwm (Llama's body, a
///     kind for each layer) for mixed layouts;
///   - qwen3 with QK-norm of each head and one rotary embedding for all layers;
///   - olmo3 with reordered norms and QK-norm of whole projections, each kind of layer with a theta
///     and a scaling of its own;
///   - granite_swa with attention sinks, with a theta for each kind of layer or without rotary
///     embedding in it, and where the heads do not divide hidden_size, which llama and cwm refuse.
///     Layers without sinks get some that are nothing (kIdleSink).
/// What no layer uses does not count. `zebra` is for the rest:
///   - dynamic scaling: transformers starts it at max_position_embeddings, lets it grow with every
///     new token while the keys in the cache keep their old rotation, and remembers the longest
///     sequence of earlier calls;
///   - window_size 0 where layers are local: transformers' cache of a window of one key keeps all;
///   - scaling of global layers alone, unless local ones have no rotary embedding or the norms are
///     olmo3's;
///   - other combinations of norms, sinks and thetas.
/// Linear, YaRN and llama3 scaling are the same in both.
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

}  // namespace zebra
