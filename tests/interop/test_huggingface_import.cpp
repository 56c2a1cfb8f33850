#include "interop/huggingface_import.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/model_state.h"
#include "config/load.h"
#include "data/tokenizer_training.h"
#include "support/models.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;
using Json = nlohmann::json;
namespace fs = std::filesystem;

// A tokenizer of 300 pieces, made once.
const fs::path& tokenizer_file() {
  static const TemporaryFolder folder;
  static const fs::path path = [] {
    write_text(folder / "train.jsonl", tiny_documents(1, 120));
    TokenizerTrainingOptions options;
    options.input.inputs = {(folder / "train.jsonl").string()};
    options.vocab_size = 300;
    options.output = folder / "tok.model";
    train_tokenizer(options);
    return options.output;
  }();
  return path;
}

ModelConfig stock_section(const std::string& pattern = "LLL") {
  auto model = small_model(pattern, 6);
  model.vocab_size = 310;
  model.rms_norm_eps = 1e-6;
  return model;
}

Json mistral_config(const ModelConfig& model = stock_section()) {
  return {{"model_type", "mistral"},
          {"hidden_size", model.hidden_size},
          {"intermediate_size", model.intermediate_size},
          {"num_hidden_layers", model.num_hidden_layers()},
          {"num_attention_heads", model.num_attention_heads},
          {"num_key_value_heads", model.num_key_value_heads},
          {"vocab_size", model.vocab_size},
          {"max_position_embeddings", model.max_position_embeddings},
          {"sliding_window", model.window_size + 1},
          {"rope_theta", model.rope_theta},
          {"tie_word_embeddings", model.tie_word_embeddings},
          {"bos_token_id", 1},
          {"eos_token_id", {5, 2}}};
}

using Tensors = std::map<std::string, torch::Tensor>;

Tensors weights_of(const ModelConfig& model, std::int64_t seed = 3) {
  ZebraModel whole(model);
  whole->initialize(seed);
  Tensors tensors;
  for (const auto& unit : whole->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto flat = parameter.tensor.detach().view({-1});
      std::int64_t begin = 0;
      for (const auto& part : parameter.spec.parts) {
        tensors[part.name] = flat.narrow(0, begin, part.numel()).view(part.shape).clone();
        begin += part.numel();
      }
    }
  }
  return tensors;
}

void write_weights(const fs::path& path, const Tensors& tensors) {
  std::vector<NamedValues> values;
  for (const auto& [name, tensor] : tensors) values.push_back({name, tensor});
  write_safetensors(path, values);
}

// A HuggingFace folder "source" and what an import of it says.
struct Source {
  Source() {
    fs::create_directory(folder / "source");
    fs::copy_file(tokenizer_file(), at("tokenizer.model"));
    write_config(mistral_config());
  }

  fs::path at(const std::string& name) const { return folder / "source" / name; }
  fs::path output() const { return folder / "out"; }
  void write_config(const Json& json) const { write_text(at("config.json"), json.dump()); }
  HuggingFaceImport read() const {
    return read_huggingface_folder(folder / "source", tokenizer, output(), ignored_keys);
  }
  // The lines of its refusal; nothing was written.
  std::vector<std::string> problems() const {
    std::string text;
    try {
      write_imported_checkpoint(read());
    } catch (const InputError& error) {
      text = error.what();
    }
    REQUIRE_FALSE(text.empty());
    for (const auto& entry : fs::directory_iterator(folder.path()))
      REQUIRE_FALSE(entry.path().filename().string().starts_with("out"));
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return lines;
  }
  std::string problem() const {
    const auto lines = problems();
    INFO(join(lines, "\n"));
    REQUIRE(lines.size() == 1);
    return lines.front();
  }

  TemporaryFolder folder;
  std::optional<fs::path> tokenizer;
  std::vector<std::string> ignored_keys;
};

std::string stored_type(const Checkpoint& checkpoint, const NamedTensor& tensor) {
  const SafetensorsFile file(checkpoint.folder() / "weights-00000.safetensors");
  return c10::toString(file.tensor(fragment_key(tensor.name, 0, tensor.numel())).scalar_type());
}

TEST_CASE("an import is a checkpoint that loads with the very weights") {
  const Source source;
  const auto weights = weights_of(stock_section());
  write_weights(source.at("model.safetensors"), weights);
  const auto imported = source.read();
  REQUIRE(imported.model_type == "mistral");
  REQUIRE(imported.stored_types == std::vector<torch::ScalarType>{torch::kFloat32});
  REQUIRE(imported.bytes == 4 * static_cast<std::uint64_t>(imported.parameters));
  write_imported_checkpoint(imported);

  auto loaded = load_model(source.output().string());
  REQUIRE(loaded.step == 0);
  REQUIRE(loaded.config.run.name == "source");
  REQUIRE(loaded.config.run.dir == source.output());
  REQUIRE(loaded.config.train.max_steps == 0);
  REQUIRE(loaded.config.train.precision == Precision::fp32);
  REQUIRE(loaded.config.data.train.empty());
  REQUIRE(loaded.config.data.sequence_length == 64);
  REQUIRE(loaded.config.data.document_mask);
  const auto& model = loaded.config.model;
  REQUIRE(pattern_of(model.layers) == "LLL");
  REQUIRE(model.window_size == 6);
  REQUIRE(model.rms_norm_eps == 1e-6);
  REQUIRE(read_file(source.output() / "tokenizer.model") == read_file(tokenizer_file()));
  const Checkpoint checkpoint(source.output());
  REQUIRE(checkpoint.training() ==
          nlohmann::ordered_json({{"imported_from", "source"}, {"step", 0}}));
  // Packed projections hold the rows of q, k and v one behind the other.
  std::int64_t parameters = 0;
  for (const auto& unit : loaded.model->units()) {
    for (const auto& parameter : unit.parameters) {
      std::vector<torch::Tensor> parts;
      for (const auto& part : parameter.spec.parts)
        parts.push_back(weights.at(part.name).flatten());
      REQUIRE(same_bits(parameter.tensor.detach().flatten(), torch::cat(parts)));
      parameters += parameter.tensor.numel();
    }
  }
  REQUIRE(imported.parameters == parameters);
}

TEST_CASE("shards are joined, types kept as stored, and nothing is copied before it is written") {
  const Source source;
  Tensors first, second;
  Json index;
  for (auto& [name, tensor] : weights_of(stock_section())) {
    const bool is_first = name.find("mlp") != std::string::npos;
    (is_first ? first : second)[name] = tensor.to(is_first ? torch::kBFloat16 : torch::kFloat16);
    index["weight_map"][name] = is_first ? "a.safetensors" : "b.safetensors";
  }
  second["model.layers.1.self_attn.rotary_emb.inv_freq"] = torch::ones({3});
  index["weight_map"]["model.layers.1.self_attn.rotary_emb.inv_freq"] = "b.safetensors";
  write_weights(source.at("a.safetensors"), first);
  write_weights(source.at("b.safetensors"), second);
  write_text(source.at("model.safetensors.index.json"), index.dump());

  const auto imported = source.read();
  REQUIRE(imported.config.train.precision == Precision::fp32);
  REQUIRE(imported.files.size() == 2);
  for (const auto& [tensor, begin, values] : imported.tensors) {
    const auto& file = imported.files[first.contains(tensor.name) ? 0 : 1];
    REQUIRE(values.const_data_ptr() == file->tensor(tensor.name).const_data_ptr());
  }
  write_imported_checkpoint(imported);
  Checkpoint checkpoint(source.output());
  for (const auto& [tensor, begin, values] : imported.tensors) {
    REQUIRE(stored_type(checkpoint, tensor) == (first.contains(tensor.name) ? "BFloat16" : "Half"));
    auto read = torch::empty({tensor.numel()});
    checkpoint.read("weights", tensor, 0, read);
    REQUIRE(same_bits(read, values.to(torch::kFloat32)));
  }
}

TEST_CASE("a model is computed in bfloat16 only where all of it is stored so") {
  const auto norm_and_others = GENERATE(
      std::pair(torch::kFloat32, torch::kBFloat16), std::pair(torch::kFloat16, torch::kBFloat16),
      std::pair(torch::kFloat16, torch::kFloat16), std::pair(torch::kBFloat16, torch::kBFloat16));
  const auto& [norm, others] = norm_and_others;
  const Source source;
  Tensors weights;
  for (const auto& [name, tensor] : weights_of(stock_section()))
    weights[name] = tensor.to(name == "model.norm.weight" ? norm : others);
  write_weights(source.at("model.safetensors"), weights);
  REQUIRE(source.read().config.train.precision ==
          (norm == torch::kBFloat16 ? Precision::bf16 : Precision::fp32));
}

TEST_CASE("weights that are NaN or infinite are refused, with tensor and place") {
  const Source source;
  auto weights = weights_of(stock_section());
  weights["model.norm.weight"][3] = std::nan("");
  weights["model.layers.1.mlp.up_proj.weight"] =
      weights["model.layers.1.mlp.up_proj.weight"].to(torch::kFloat16);
  weights["model.layers.1.mlp.up_proj.weight"][39][23] = -INFINITY;
  weights["model.embed_tokens.weight"][300][1] = INFINITY;
  weights["model.embed_tokens.weight"][301][0] = INFINITY;
  write_weights(source.at("model.safetensors"), weights);
  const auto problem = source.problem();
  REQUIRE_THAT(problem, Contains(": 3 tensors (model.embed_tokens.weight: infinity at [300, 1], "
                                 "model.layers.1.mlp.up_proj.weight: -infinity at [39, 23], "
                                 "model.norm.weight: NaN at [3]) with weights that are no finite"));
}

TEST_CASE("the name of a folder need not be UTF-8") {
  const Source source;
  write_weights(source.at("model.safetensors"), weights_of(stock_section()));
  const auto odd = source.folder / "odd\xff";
  fs::rename(source.folder / "source", odd);
  write_imported_checkpoint(read_huggingface_folder(odd, std::nullopt, source.output()));
  REQUIRE(load_model(source.output().string()).config.run.name == "odd\xEF\xBF\xBD");
}

TEST_CASE("an index that names a tensor twice is refused") {
  const Source source;
  write_text(source.at("model.safetensors.index.json"),
             R"({"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}})");
  REQUIRE_THAT(source.problem(), Contains("is not an index: it has the name \"a\" twice"));
}

TEST_CASE("a tied head may be stored if it is the embedding") {
  const Source source;
  auto model = stock_section();
  model.tie_word_embeddings = true;
  source.write_config(mistral_config(model));
  auto weights = weights_of(model);
  write_weights(source.at("model.safetensors"), weights);
  const auto parameters = source.read().parameters;

  weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone();
  write_weights(source.at("model.safetensors"), weights);
  REQUIRE(source.read().parameters == parameters);

  weights["lm_head.weight"][309][23] += 1e-3;
  write_weights(source.at("model.safetensors"), weights);
  REQUIRE_THAT(source.problem(), Contains("lm_head.weight differs from model.embed_tokens.weight"));
}

TEST_CASE("tensors that do not fit the model are named, all at once") {
  const Source source;
  auto weights = weights_of(stock_section());
  weights.erase("model.norm.weight");
  weights.erase("lm_head.weight");
  weights["model.layers.0.self_attn.q_proj.bias"] = torch::zeros({24});
  weights["model.layers.2.mlp.up_proj.weight"] = torch::zeros({24, 40});
  weights["model.layers.1.mlp.up_proj.weight"] = torch::zeros({40, 24}, torch::kInt64);
  write_weights(source.at("model.safetensors"), weights);
  const auto lines = source.problems();
  INFO(join(lines, "\n"));
  REQUIRE(lines.size() == 4);
  REQUIRE_THAT(lines[0], Contains("model.layers.1.mlp.up_proj.weight is stored as Long"));
  REQUIRE_THAT(lines[1], Contains("model.layers.2.mlp.up_proj.weight has the shape [24, 40]; by "
                                  "config.json it is [40, 24]"));
  REQUIRE_THAT(lines[2], Contains("lacks 2 tensors (lm_head.weight, model.norm.weight) of"));
  REQUIRE_THAT(lines[3], Contains("holds 1 tensor (model.layers.0.self_attn.q_proj.bias), which"));
}

TEST_CASE("an index that does not fit its files is refused") {
  const Source source;
  const auto weights = weights_of(stock_section());
  write_weights(source.at("all.safetensors"), weights);
  Json index;
  for (const auto& [name, tensor] : weights) index["weight_map"][name] = "all.safetensors";
  const auto write_index = [&](const Json& json) {
    write_text(source.at("model.safetensors.index.json"), json.dump());
  };
  write_index(index);
  source.read();

  Json other = index;
  other["weight_map"].erase("lm_head.weight");
  write_index(other);
  REQUIRE_THAT(source.problem(), Contains("weight_map does not name 1 tensor (lm_head.weight)"));

  other = index;
  other["weight_map"]["mystery"] = "all.safetensors";
  write_index(other);
  REQUIRE_THAT(source.problem(), Contains("all.safetensors lacks 1 tensor (mystery)"));

  other = index;
  other["weight_map"]["lm_head.weight"] = "../secret.safetensors";
  write_index(other);
  const auto lines = source.problems();
  REQUIRE(lines.size() == 2);  // and a tensor of all.safetensors that weight_map does not name
  REQUIRE_THAT(join(lines, "\n"), Contains("\"../secret.safetensors\" is not a file's name"));

  other = index;
  other["weight_map"]["lm_head.weight"] = "lost.safetensors";
  write_index(other);
  REQUIRE_THAT(join(source.problems(), "\n"), Contains("lost.safetensors"));

  write_text(source.at("model.safetensors.index.json"), "{\"weight_map\": 3}");
  REQUIRE_THAT(source.problem(), Contains("is not an index"));
  write_text(source.at("model.safetensors.index.json"), "{");
  REQUIRE_THAT(source.problem(), Contains("is not an index"));

  write_index(index);
  write_weights(source.at("second.safetensors"),
                {{"lm_head.weight", weights.at("lm_head.weight")}});
  other = index;
  other["weight_map"]["lm_head.weight"] = "second.safetensors";
  write_index(other);
  REQUIRE_THAT(join(source.problems(), "\n"), Contains("lm_head.weight is in another file too"));

  write_weights(source.at("model.safetensors"), weights);
  REQUIRE_THAT(source.problem(), Contains("holds both model.safetensors and"));
}

TEST_CASE("a folder without weights, a config or a tokenizer is refused in one message") {
  const Source source;
  REQUIRE_THAT(source.problem(), Contains("holds neither model.safetensors nor"));
  fs::remove(source.at("config.json"));
  fs::remove(source.at("tokenizer.model"));
  const auto lines = source.problems();
  INFO(join(lines, "\n"));
  REQUIRE(lines.size() == 3);
  REQUIRE_THAT(lines[0], Contains("config.json"));
  REQUIRE_THAT(lines[1], Contains("--tokenizer"));
  REQUIRE_THROWS_WITH(
      read_huggingface_folder(source.folder / "nowhere", std::nullopt, source.output()),
      Contains("nowhere: no such folder"));
  write_text(source.at("config.json"), "{}");
  write_text(source.at("model.safetensors"), "cut");
  write_text(source.at("tokenizer.model"), "no pieces");
  REQUIRE(source.problems().size() == 3);
}

TEST_CASE("the tokenizer must be the model's") {
  Source source;
  write_weights(source.at("model.safetensors"), weights_of(stock_section()));
  auto config = mistral_config();
  config["bos_token_id"] = 2;
  config["eos_token_id"] = {1, 7};
  source.write_config(config);
  const auto lines = source.problems();
  INFO(join(lines, "\n"));
  REQUIRE(lines.size() == 2);
  REQUIRE_THAT(lines[0], Contains("bos_token_id: 2 contradicts") && Contains("whose BOS is 1"));
  REQUIRE_THAT(lines[1], Contains("eos_token_id: does not name the EOS"));

  auto model = stock_section();
  model.vocab_size = 299;
  source.write_config(mistral_config(model));
  write_weights(source.at("model.safetensors"), weights_of(model));
  REQUIRE_THAT(source.problem(), Contains("vocab_size: 299 is less than the 300 pieces"));

  source.write_config(mistral_config());
  write_weights(source.at("model.safetensors"), weights_of(stock_section()));
  fs::remove(source.at("tokenizer.model"));
  source.tokenizer = tokenizer_file();
  write_imported_checkpoint(source.read());
  REQUIRE(load_model(source.output().string()).tokenizer.vocab_size() == 300);
}

TEST_CASE("an output that exists is refused, and what Zebra's own rules refuse") {
  const Source source;
  write_weights(source.at("model.safetensors"), weights_of(stock_section()));
  fs::create_directory(source.output());
  REQUIRE_THROWS_WITH(source.read(), Contains("out: exists already"));
  fs::remove(source.output());
  auto config = mistral_config();
  config["num_key_value_heads"] = 3;
  source.write_config(config);
  REQUIRE_THAT(join(source.problems(), "\n"),
               Contains("model.num_key_value_heads: 3 does not divide the 4 query heads"));
}

Json granite_config(const ModelConfig& model) {
  auto json = mistral_config(model);
  json["model_type"] = "granite_swa";
  for (const auto kind : model.layers)
    json["layer_types"].push_back(kind == LayerKind::global ? "full_attention"
                                                            : "sliding_attention");
  json["attention_multiplier"] = 1.0 / std::sqrt(static_cast<double>(model.head_dim));
  json["head_dim"] = model.head_dim;
  return json;
}

TEST_CASE("sinks that are nothing are left out where a whole kind of layers has them") {
  const Source source;
  auto model = stock_section("LGLG");
  model.attention_sink = AttentionSink::all;
  source.write_config(granite_config(model));
  auto weights = weights_of(model);
  const auto sinks_after = [&](const std::vector<int>& idle_layers) {
    for (int layer = 0; layer < 4; ++layer) {
      const bool is_idle = std::ranges::count(idle_layers, layer) > 0;
      // As bfloat16 rounds them.
      weights["model.layers." + std::to_string(layer) + ".self_attn.sinks"].fill_(is_idle ? -9984.0
                                                                                          : 0.5);
    }
    write_weights(source.at("model.safetensors"), weights);
    const auto imported = source.read();
    return std::pair(name_of(imported.config.model.attention_sink), imported.tensors.size());
  };
  const std::size_t sinkless = 3 + 4 * 9;
  REQUIRE(sinks_after({}) == std::pair(std::string("all"), sinkless + 4));
  REQUIRE(sinks_after({1, 3}) == std::pair(std::string("true"), sinkless + 2));
  REQUIRE(sinks_after({1}) == std::pair(std::string("all"), sinkless + 4));
  REQUIRE(sinks_after({0, 2}) == std::pair(std::string("all"), sinkless + 4));
  REQUIRE(sinks_after({0, 1, 2, 3}) == std::pair(std::string("false"), sinkless));
  weights.erase("model.layers.2.self_attn.sinks");
  write_weights(source.at("model.safetensors"), weights);
  REQUIRE_THAT(source.problem(), Contains("lacks 1 tensor (model.layers.2.self_attn.sinks)"));
}

TEST_CASE("norms of OLMo 3 are matched by their names and widths") {
  const Source source;
  auto model = stock_section("LLG");
  model.norm_placement = NormPlacement::reordered;
  model.qk_norm = QkNorm::projection;
  auto json = mistral_config(model);
  json["model_type"] = "olmo3";
  json["layer_types"] = {"sliding_attention", "sliding_attention", "full_attention"};
  json.erase("rope_theta");
  source.write_config(json);
  auto weights = weights_of(model);
  REQUIRE(weights.at("model.layers.1.self_attn.k_norm.weight").numel() == 12);
  write_weights(source.at("model.safetensors"), weights);
  const auto imported = source.read();
  REQUIRE(imported.tensors.size() == 3 + 3 * 11);
  write_imported_checkpoint(imported);
  REQUIRE(load_model(source.output().string()).config.model.norm_placement ==
          NormPlacement::reordered);
}

TEST_CASE("weights of PyTorch's own format are named with the way to convert them") {
  const Source source;
  write_text(source.at("pytorch_model.bin.index.json"), "{}");
  REQUIRE_THAT(source.problem(), Contains("holds neither model.safetensors nor") &&
                                     Contains("huggingface/bin_to_safetensors.py"));
}

TEST_CASE("keys are ignored where that is asked for") {
  Source source;
  write_weights(source.at("model.safetensors"), weights_of(stock_section()));
  auto json = mistral_config();
  json["mystery"] = 3;
  json["off"] = false;
  source.write_config(json);
  REQUIRE_THAT(source.problem(), Contains("mystery: unknown key"));
  source.ignored_keys = {"mystery"};
  REQUIRE(source.read().model_type == "mistral");
}

TEST_CASE("our own architecture comes back with all that is its own") {
  const Source source;
  auto model = stock_section("LGL");
  model = with_options(model, ModelOptions::heads_normed);
  model.global_rope_theta = 0.0;
  model.local_rope_theta = 500.0;
  auto json = mistral_config(model);
  json["model_type"] = "zebra";
  json["rms_norm_eps"] = model.rms_norm_eps;
  json["attention_pattern"] = "LGL";
  json["qk_norm"] = json["attention_sink"] = true;
  json["global_rope_theta"] = 0.0;
  json["local_rope_theta"] = 500.0;
  source.write_config(json);
  write_weights(source.at("model.safetensors"), weights_of(model));
  const auto imported = source.read();
  const auto& read = imported.config.model;
  REQUIRE(pattern_of(read.layers) == "LGL");
  REQUIRE(read.window_size == 6);
  REQUIRE(read.qk_norm == QkNorm::head);
  REQUIRE(read.attention_sink == AttentionSink::local);
  REQUIRE(read.global_rope_theta == 0.0);
  REQUIRE(read.local_rope_theta == 500.0);
  REQUIRE(imported.tensors.size() == 3 + 3 * 11 + 2);  // QK-norm in all layers, sinks in two
}

}  // namespace
}  // namespace zebra
