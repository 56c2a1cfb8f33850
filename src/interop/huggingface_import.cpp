#include "interop/huggingface_import.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/text.h"
#include "config/load.h"
#include "data/tokenizer.h"
#include "interop/huggingface_config.h"
#include "interop/huggingface_weights.h"
#include "model/zebra_model.h"

namespace zebra {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr const char* kSinks = ".self_attn.sinks";

bool same_bytes(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

// Whether sinks are those of a layer that has none, in the type in which they are stored.
bool are_idle(const torch::Tensor& sinks) {
  return sinks.is_floating_point() &&
         (sinks.to(torch::kFloat32) <= kIdleSink / 2.0).all().item<bool>();
}

// Which layers have sinks of which any is not idle. Where the tensors are not all there that is
// found later.
AttentionSink sinks_in_use(const TensorsByName& stored, const ModelConfig& model) {
  bool any_local = false, any_global = false;
  for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
    const auto sinks = stored.find("model.layers." + std::to_string(layer) + kSinks);
    if (sinks == stored.end()) return AttentionSink::all;
    if (are_idle(sinks->second)) continue;
    (model.layers[layer] == LayerKind::local ? any_local : any_global) = true;
  }
  if (any_global) return AttentionSink::all;
  return any_local ? AttentionSink::local : AttentionSink::none;
}

// Names that are no weights of the model: tables that old checkpoints stored, sinks that are
// nothing, and a head that is the embedding.
bool may_be_left(const std::string& name, const TensorsByName& stored, const ModelConfig& model,
                 const std::string& folder, Problems& problems) {
  if (name.ends_with("rotary_emb.inv_freq")) return true;
  if (name.ends_with(kSinks)) return are_idle(stored.at(name));
  if (name != kHead || !model.tie_word_embeddings) return false;
  const auto embedding = stored.find(kEmbedding);
  if (embedding != stored.end() && !same_bytes(embedding->second, stored.at(kHead))) {
    problems.add(folder + ": tensor " + kHead + " differs from " + kEmbedding +
                 ", but config.json says tie_word_embeddings; which is right?");
  }
  return true;
}

bool is_type_of_weights(torch::ScalarType type) {
  return type == torch::kFloat32 || type == torch::kBFloat16 || type == torch::kFloat16;
}

// Takes the tensors of the model from those that are stored.
void match_tensors(const TensorsByName& stored, const std::string& folder,
                   HuggingFaceImport& imported, Problems& problems) {
  const auto& model = imported.config.model;
  std::set<std::string> expected;
  std::vector<std::string> missing, superfluous;
  for (const auto& unit : ZebraModel(model, ParameterMemory::placeholder)->units()) {
    for (const auto& parameter : unit.parameters) {
      for (const auto& part : parameter.spec.parts) {
        expected.insert(part.name);
        const auto found = stored.find(part.name);
        if (found == stored.end()) {
          missing.push_back(part.name);
        } else if (found->second.sizes() != part.shape) {
          problems.add(folder + ": tensor " + part.name + " has the shape " +
                       c10::str(found->second.sizes()) + "; by config.json it is " +
                       c10::str(at::IntArrayRef(part.shape)));
        } else if (!is_type_of_weights(found->second.scalar_type())) {
          problems.add(folder + ": tensor " + part.name + " is stored as " +
                       c10::toString(found->second.scalar_type()) +
                       "; Zebra reads F32, BF16 and F16");
        } else {
          imported.tensors.push_back({part, 0, found->second.view({-1})});
        }
      }
    }
  }
  for (const auto& [name, tensor] : stored) {
    if (!expected.contains(name) && !may_be_left(name, stored, model, folder, problems))
      superfluous.push_back(name);
  }
  if (!missing.empty())
    problems.add(folder + ": lacks " + counted_tensors(missing) +
                 " of the model that config.json describes");
  if (!superfluous.empty())
    problems.add(folder + ": holds " + counted_tensors(superfluous) +
                 ", which the model that config.json describes does not have");
}

void count(HuggingFaceImport& imported) {
  for (const auto& tensor : imported.tensors) {
    const auto type = tensor.values.scalar_type();
    auto& types = imported.stored_types;
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
    imported.parameters += tensor.values.numel();
    imported.bytes += tensor.values.nbytes();
  }
}

void check_tokenizer(const Tokenizer& tokenizer, const HuggingFaceConfig& read,
                     const std::string& config_file, Problems& problems) {
  const std::string path = tokenizer.path().string();
  if (*read.model.vocab_size < tokenizer.vocab_size()) {
    problems.add(config_file + ": vocab_size: " + std::to_string(*read.model.vocab_size) +
                 " is less than the " + std::to_string(tokenizer.vocab_size()) + " pieces of " +
                 path + "; is this the model's tokenizer?");
  }
  // Where EOS stands for BOS, the tokenizer says nothing of the one that the model may have.
  const bool has_bos = tokenizer.bos() != tokenizer.eos();
  if (has_bos && read.bos_token_id && *read.bos_token_id != tokenizer.bos()) {
    problems.add(config_file + ": bos_token_id: " + std::to_string(*read.bos_token_id) +
                 " contradicts " + path + ", whose BOS is " + std::to_string(tokenizer.bos()));
  }
  const auto& eos = read.eos_token_ids;
  if (!eos.empty() && std::find(eos.begin(), eos.end(), tokenizer.eos()) == eos.end()) {
    problems.add(config_file + ": eos_token_id: does not name the EOS of " + path + ", " +
                 std::to_string(tokenizer.eos()));
  }
}

std::filesystem::path absolute_folder(const std::filesystem::path& path) {
  return folder_path(std::filesystem::absolute(path).lexically_normal());
}

// What is not UTF-8, as the name of a folder need not be, becomes U+FFFD.
std::string as_utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(text)).get<std::string>();
}

// A run file for the model: what its author trained with is not in the folder.
Config config_of(const ModelSection& model, const std::filesystem::path& folder,
                 const std::filesystem::path& output) {
  RunFile file;
  file.run.name = as_utf8(absolute_folder(folder).filename().string());
  file.run.dir = output;
  file.model = model;
  file.data.tokenizer = output / kSentencePieceFile;
  file.data.sequence_length = *model.max_position_embeddings;
  file.train.global_batch_size = file.train.micro_batch_size = 1;
  return resolve(
      parse_run_file(to_yaml(file), "the run file made from " + (folder / "config.json").string()));
}

// bfloat16 where nothing is stored more exactly: float16 has three bits more.
Precision precision_of(const std::vector<torch::ScalarType>& stored_types) {
  const bool all_bfloat16 = stored_types == std::vector{torch::kBFloat16};
  return all_bfloat16 ? Precision::bf16 : Precision::fp32;
}

// The first value of a tensor that is no finite number, and its place: "NaN at [3, 17]"; empty
// where there is none.
std::string first_non_finite(const CheckpointTensor& tensor) {
  constexpr std::int64_t kValues = 1 << 20;  // at a time, so that little memory is needed
  const auto& flat = tensor.values;
  for (std::int64_t begin = 0; begin < flat.numel(); begin += kValues) {
    const auto part = flat.narrow(0, begin, std::min(kValues, flat.numel() - begin));
    const auto is_finite = part.isfinite();
    if (is_finite.all().item<bool>()) continue;
    const auto first = is_finite.to(torch::kUInt8).argmin().item<std::int64_t>();
    const auto value = part[first].item<double>();
    auto rest = begin + first;
    std::vector<std::int64_t> place(tensor.tensor.shape.size());
    for (std::size_t i = place.size(); i-- > 0; rest /= tensor.tensor.shape[i])
      place[i] = rest % tensor.tensor.shape[i];
    const std::string name = std::isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
    return name + " at " + c10::str(at::IntArrayRef(place));
  }
  return "";
}

void check_values(const HuggingFaceImport& imported, const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& tensor : imported.tensors) {
    const auto first = first_non_finite(tensor);
    if (!first.empty()) found.push_back(tensor.tensor.name + ": " + first);
  }
  if (found.empty()) return;
  throw InputError(folder + ": " + counted_tensors(found) +
                   " with weights that are no finite numbers: the file is damaged, or its training "
                   "had diverged; take an earlier checkpoint of the model");
}

void warn_of_passed_keys(const HuggingFaceConfig& read, const std::string& config_file) {
  if (read.passed_keys.empty()) return;
  log_warning(config_file +
              ": unknown keys are off (null or false), which is taken to change nothing: " +
              join(read.passed_keys, ", "));
}

}  // namespace

HuggingFaceImport read_huggingface_folder(const std::filesystem::path& folder,
                                          const std::optional<std::filesystem::path>& tokenizer,
                                          const std::filesystem::path& output,
                                          const std::vector<std::string>& ignored_keys) {
  if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
    throw InputError(folder.string() +
                     ": no such folder; give one with config.json, model.safetensors and "
                     "tokenizer.model or tokenizer.json");
  }
  HuggingFaceImport imported;
  Problems problems;
  imported.output = absolute_folder(output);
  imported.tokenizer = tokenizer.value_or(tokenizer_in(folder));
  if (is_there(imported.output))
    problems.add(imported.output.string() +
                 ": exists already; name a new folder or remove it first");

  const auto config_file = folder / "config.json";
  std::optional<HuggingFaceConfig> read;
  problems.collect([&] {
    read = read_huggingface_config(read_file(config_file), config_file.string(), problems,
                                   ignored_keys);
    if (!read) return;
    warn_of_passed_keys(*read, config_file.string());
    imported.model_type = read->model_type;
    imported.config = config_of(read->model, folder, imported.output);
  });
  const bool has_config = !imported.config.model.layers.empty();

  if (!is_there(imported.tokenizer)) {
    problems.add(imported.tokenizer.string() +
                 ": there is no such tokenizer, nor a tokenizer.json; name the model's own with "
                 "--tokenizer FILE");
  } else {
    problems.collect([&] {
      const Tokenizer pieces(imported.tokenizer);
      imported.config.data.tokenizer = imported.output / main_tokenizer_file(pieces.files());
      if (read) check_tokenizer(pieces, *read, config_file.string(), problems);
    });
  }

  const std::size_t before = problems.all().size();
  StoredTensors stored(folder, problems);
  // Tensors of a file that cannot be read would only be missing besides.
  if (has_config && problems.all().size() == before) {
    auto& model = imported.config.model;
    if (model.attention_sink == AttentionSink::all)
      model.attention_sink = sinks_in_use(stored.tensors(), model);
    match_tensors(stored.tensors(), folder.string(), imported, problems);
  }
  problems.throw_if_any();
  check_values(imported, folder.string());  // takes long: reads every byte
  imported.files = stored.take_files();
  count(imported);
  imported.config.train.precision = precision_of(imported.stored_types);
  return imported;
}

void write_imported_checkpoint(const HuggingFaceImport& imported) {
  ProgressBar bar("importing", imported.bytes, "bytes");
  std::uint64_t written = 0;
  auto tensor = imported.tensors.begin();
  const auto progress = [&] {
    if (tensor == imported.tensors.end()) return;
    written += tensor++->values.nbytes();
    bar.update(written);
  };
  const CheckpointContent content = {
      .step = 0,
      .config = imported.config,
      .tokenizer = read_tokenizer_files(imported.tokenizer),
      // No optimizer and no place in the data: training cannot be resumed from it.
      .training = {{"imported_from", imported.config.run.name}, {"step", 0}},
      .groups = {{"weights", imported.tensors}}};
  TextCollectives alone(nullptr, 0, 1);
  write_checkpoint(imported.output, content, alone, progress);
  bar.finish(imported.bytes);
}

}  // namespace zebra
