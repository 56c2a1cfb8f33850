#include "interop/huggingface_export.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/system.h"
#include "checkpoint/safetensors.h"
#include "config/model_config.h"
#include "data/tokenizer_json_file.h"
#include "interop/huggingface_config.h"

namespace zebra {
namespace {

namespace fs = std::filesystem;

using Json = nlohmann::ordered_json;

// What takes the place of sinks that layers do not have.
void add_idle_sinks(std::vector<NamedValues>& tensors, const ModelConfig& model) {
  const auto type = tensors.front().values.scalar_type();
  for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
    if (model.has_sink(model.layers[layer])) continue;
    tensors.push_back({"model.layers." + std::to_string(layer) + ".self_attn.sinks",
                       torch::full({model.num_attention_heads}, kIdleSink, type)});
  }
}

// Views of the model's memory: HuggingFace names what we keep packed one by one.
std::vector<NamedValues> exported_tensors(const Config& config, ZebraModel& model) {
  std::vector<NamedValues> tensors;
  for (const auto& unit : model->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto flat = parameter.tensor.detach().view({-1});
      std::int64_t begin = 0;
      for (const auto& part : parameter.spec.parts) {
        tensors.push_back({part.name, flat.narrow(0, begin, part.numel()).view(part.shape)});
        begin += part.numel();
      }
    }
  }
  if (exported_architecture(config.model) == ExportedArchitecture::granite_swa)
    add_idle_sinks(tensors, config.model);
  return tensors;
}

std::vector<std::vector<NamedValues>> in_shards(const std::vector<NamedValues>& tensors,
                                                std::int64_t shard_bytes) {
  std::vector<std::vector<NamedValues>> shards(1);
  std::int64_t bytes = 0;
  for (const auto& tensor : tensors) {
    const auto own = static_cast<std::int64_t>(tensor.values.nbytes());
    if (bytes + own > shard_bytes && !shards.back().empty()) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(tensor);
    bytes += own;
  }
  return shards;
}

std::string shard_name(std::size_t number, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

void write_weights(const fs::path& folder, const Config& config, ZebraModel& model,
                   std::int64_t shard_bytes) {
  const auto shards = in_shards(exported_tensors(config, model), shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(folder / "model.safetensors", shards.front());
    return;
  }
  std::uint64_t total = 0;
  Json file_of = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i + 1, shards.size());
    write_safetensors(folder / name, shards[i]);
    for (const auto& tensor : shards[i]) {
      file_of[tensor.name] = name;
      total += tensor.values.nbytes();
    }
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", file_of}};
  write_file_atomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

// The text of generation_config.json: where text begins and ends, greedy unless told otherwise.
std::string generation_config(DocumentTokens tokens, std::int32_t padding,
                              const ChatRenderer* chat) {
  std::vector<std::int32_t> ends = {tokens.eos};
  if (chat != nullptr && chat->end_token() >= 0 && chat->end_token() != tokens.eos)
    ends.push_back(chat->end_token());
  const Json json = {{"bos_token_id", tokens.bos},
                     {"eos_token_id", ends},
                     {"pad_token_id", padding},  // rows of a batch that have ended
                     {"do_sample", false},
                     {"transformers_version", kTransformersVersion}};
  return json.dump(2) + "\n";
}

// The text of tokenizer_config.json for a tokenizer.json that has none beside it.
std::string plain_tokenizer_config(const TokenizerJson& file, std::int64_t longest) {
  const auto text_of = [&file](std::int32_t id) -> std::string {
    for (const auto& token : file.added_tokens)
      if (token.id == id) return token.content;
    for (const auto& [text, own] : file.vocabulary)
      if (own == id) return text;
    return "";
  };
  const Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"bos_token", text_of(file.bos)},
                     {"eos_token", text_of(file.eos)},
                     {"pad_token", text_of(file.pad)},
                     {"clean_up_tokenization_spaces", false},
                     {"model_max_length", longest}};
  return json.dump(2) + "\n";
}

// A tokenizer.json leaves as it came.
void write_tokenizer_json(const fs::path& folder, const Config& config, const Tokenizer& tokenizer,
                          DocumentTokens tokens, const ChatRenderer* chat) {
  const auto file = read_tokenizer_json(tokenizer.files(), tokenizer.path().string());
  write_file_atomically(folder / "generation_config.json",
                        generation_config(tokens, file.pad, chat));
  if (!tokenizer.files().contains(kTokenizerConfigFile)) {
    write_file_atomically(folder / kTokenizerConfigFile,
                          plain_tokenizer_config(file, config.model.max_position_embeddings));
  }
}

void write_tokenizer(const fs::path& folder, const Config& config, const Tokenizer& tokenizer,
                     DocumentTokens tokens, const ChatRenderer* chat) {
  for (const auto& [name, bytes] : tokenizer.files()) write_file_atomically(folder / name, bytes);
  if (chat != nullptr) write_file_atomically(folder / "chat_template.jinja", chat->jinja());
  if (!tokenizer.files().contains(kSentencePieceFile)) {
    write_tokenizer_json(folder, config, tokenizer, tokens, chat);
    return;
  }
  const auto model = read_sentencepiece_model(tokenizer.path());
  write_file_atomically(folder / "generation_config.json",
                        generation_config(tokens, padding_token(model, tokens), chat));
  const auto longest = config.model.max_position_embeddings;
  write_file_atomically(folder / "tokenizer_config.json",
                        tokenizer_config_json(model, tokens, longest, chat != nullptr));
  const std::string obstacle = obstacle_to_tokenizer_json(model);
  if (obstacle.empty()) {
    write_file_atomically(folder / "tokenizer.json", tokenizer_json(model, tokens));
  } else {
    log_warning("no tokenizer.json is written, because " + obstacle +
                "; programs that need one must convert tokenizer.model by themselves");
  }
}

void write_export(const fs::path& folder, const Config& config, ZebraModel& model,
                  const Tokenizer& tokenizer, std::int64_t shard_bytes, const ChatRenderer* chat) {
  const DocumentTokens tokens = {tokenizer.bos(), tokenizer.eos()};
  write_file_atomically(folder / "config.json", exported_config(config, tokens));
  if (exported_architecture(config.model) == ExportedArchitecture::zebra) {
    // The last word of the command that would run it is its path.
    const auto script = python_command("huggingface/modeling_zebra.py", {}).back();
    write_file_atomically(folder / "modeling_zebra.py", read_file(script));
  }
  write_tokenizer(folder, config, tokenizer, tokens, chat);
  write_weights(folder, config, model, shard_bytes);
  flush_to_disk(folder);
}

}  // namespace

void require_new_export(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  throw InputError(folder.string() + ": exists already; name a new folder or remove it first");
}

void export_huggingface(const Config& config, ZebraModel& model, const Tokenizer& tokenizer,
                        const fs::path& output, std::int64_t shard_bytes,
                        const ChatRenderer* chat) {
  const auto folder = folder_path(output);
  require_new_export(folder);
  const auto beside = partial_path(folder);
  try {
    fs::create_directories(beside);
    write_export(beside, config, model, tokenizer, shard_bytes, chat);
    fs::rename(beside, folder);
    flush_to_disk(folder.has_parent_path() ? folder.parent_path() : fs::path("."));
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    throw RunError(folder.string() + ": cannot write the export: " + error.what());
  }
}

}  // namespace zebra
