#include "interop/huggingface_config.h"

#include <nlohmann/json.hpp>

#include "support/catch.h"

namespace zebra {
namespace {

using Json = nlohmann::json;

// As transformers 5.24 saves LlamaConfig(...), every key that it writes.
Json llama() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 1, "dtype": "float32", "eos_token_id": 2, "head_dim": 12, "hidden_act": "silu",
    "hidden_size": 48, "initializer_range": 0.02, "intermediate_size": 80,
    "max_position_embeddings": 96, "mlp_bias": false, "model_type": "llama",
    "num_attention_heads": 4, "num_hidden_layers": 5, "num_key_value_heads": 2,
    "pad_token_id": null, "pretraining_tp": 1, "rms_norm_eps": 1e-06,
    "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
    "tie_word_embeddings": false, "transformers_version": "5.24.0", "use_cache": true,
    "vocab_size": 321})");
}

Json with(Json json, const Json& changes) {
  json.update(changes);
  return json;
}

Json without(Json json, const std::string& key) {
  json.erase(key);
  return json;
}

// Of another architecture, with no key that only llama has.
Json as(const std::string& model_type, const Json& changes = Json::object()) {
  return with(with(llama(), {{"model_type", model_type}}), changes);
}

HuggingFaceConfig read_config(const Json& json) {
  Problems problems;
  const auto config = read_huggingface_config(json.dump(), "config.json", problems);
  INFO(join(problems.all(), "\n"));
  REQUIRE(problems.empty());
  REQUIRE(config.has_value());
  return *config;
}

std::vector<std::string> problems_of_text(const std::string& text) {
  Problems problems;
  REQUIRE_FALSE(read_huggingface_config(text, "config.json", problems).has_value());
  REQUIRE_FALSE(problems.empty());
  return problems.all();
}

std::vector<std::string> problems_of(const Json& json) { return problems_of_text(json.dump()); }

// The one problem of a config.json.
std::string problem_of_config(const Json& json) {
  const auto problems = problems_of(json);
  INFO(join(problems, "\n"));
  REQUIRE(problems.size() == 1);
  return problems.front();
}

TEST_CASE("a llama config.json as transformers saves it becomes a model section") {
  const auto config = read_config(llama());
  REQUIRE(config.model_type == "llama");
  REQUIRE(config.bos_token_id == 1);
  REQUIRE(config.eos_token_ids == std::vector<std::int64_t>{2});
  const auto& model = config.model;
  REQUIRE(model.hidden_size == 48);
  REQUIRE(model.intermediate_size == 80);
  REQUIRE(model.num_hidden_layers == 5);
  REQUIRE(model.num_attention_heads == 4);
  REQUIRE(model.num_key_value_heads == 2);
  REQUIRE(model.head_dim == 12);
  REQUIRE(model.vocab_size == 321);
  REQUIRE(model.max_position_embeddings == 96);
  REQUIRE(model.rms_norm_eps == 1e-6);
  REQUIRE(model.initializer_range == 0.02);
  REQUIRE(model.rope_theta == 5e5);
  REQUIRE(model.rope_scaling.type == RopeScaling::none);
  REQUIRE_FALSE(model.tie_word_embeddings);
  REQUIRE(model.attention_pattern == "GGGGG");
  REQUIRE_FALSE(model.window_size.has_value());
  REQUIRE(read_config(with(llama(), {{"tie_word_embeddings", true}})).model.tie_word_embeddings);
}

TEST_CASE("keys that are absent take the values of transformers") {
  Json bare = {{"model_type", "llama"},
               {"hidden_size", 48},
               {"intermediate_size", 80},
               {"num_hidden_layers", 5},
               {"num_attention_heads", 8},
               {"vocab_size", 321},
               {"rope_parameters", {{"rope_type", "default"}}}};
  const auto llama_model = read_config(bare).model;
  REQUIRE(llama_model.num_key_value_heads == 8);
  REQUIRE(llama_model.head_dim == 6);
  REQUIRE(llama_model.max_position_embeddings == 2048);
  REQUIRE(llama_model.rms_norm_eps == 1e-6);
  REQUIRE(llama_model.rope_theta == 1e4);
  REQUIRE(read_config(bare).eos_token_ids.empty());

  bare["model_type"] = "mistral";
  bare["num_attention_heads"] = 16;
  const auto mistral = read_config(bare).model;
  REQUIRE(mistral.num_key_value_heads == 8);
  REQUIRE(mistral.head_dim == 3);
  REQUIRE(mistral.max_position_embeddings == 131072);
  REQUIRE(mistral.window_size == 4095);
  REQUIRE(mistral.attention_pattern == "LLLLL");
  REQUIRE(mistral.rope_theta == 1e4);

  bare["model_type"] = "cwm";
  const auto cwm = read_config(bare).model;
  REQUIRE(cwm.num_key_value_heads == 8);
  REQUIRE(cwm.head_dim == 128);
  REQUIRE(cwm.rms_norm_eps == 1e-5);
  REQUIRE(cwm.window_size == 8191);
  REQUIRE(cwm.attention_pattern == "GLLLG");
  REQUIRE(cwm.rope_theta == 1e6);

  // Null is derived, whatever the architecture's own value.
  const Json derived = {{"num_key_value_heads", nullptr}, {"head_dim", nullptr}};
  REQUIRE(read_config(with(bare, derived)).model.num_key_value_heads == 16);
  REQUIRE(read_config(with(bare, derived)).model.head_dim == 3);
}

TEST_CASE("sizes must be there, all at once") {
  Json json = llama();
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size", "head_dim"})
    json.erase(key);
  const auto problems = problems_of(json);
  REQUIRE(problems.size() == 5);
  REQUIRE(problems.front() == "config.json: hidden_size: missing");

  // Our own export leaves nothing to guess.
  const Json zebra = as("zebra", {{"attention_pattern", "GGGGG"}});
  REQUIRE(problem_of_config(without(zebra, "rms_norm_eps")) ==
          "config.json: rms_norm_eps: missing");
  REQUIRE(problem_of_config(without(zebra, "max_position_embeddings")) ==
          "config.json: max_position_embeddings: missing");
  REQUIRE_THAT(problem_of_config(without(zebra, "attention_pattern")),
               Catch::Matchers::Contains("attention_pattern: missing"));
}

TEST_CASE("a sliding window counts the token itself") {
  const auto sliding = read_config(as("mistral", {{"sliding_window", 16}})).model;
  REQUIRE(sliding.window_size == 15);
  REQUIRE(sliding.attention_pattern == "LLLLL");
  REQUIRE(read_config(as("mistral", {{"sliding_window", 1}})).model.window_size == 0);
  const auto full = read_config(as("mistral", {{"sliding_window", nullptr}})).model;
  REQUIRE(full.attention_pattern == "GGGGG");
  REQUIRE_FALSE(full.window_size.has_value());
  REQUIRE_THAT(problem_of_config(as("mistral", {{"sliding_window", 0}})),
               Catch::Matchers::Contains("sliding_window: must be a whole number from 1"));
  REQUIRE_THAT(problem_of_config(with(llama(), {{"sliding_window", 16}})),
               Catch::Matchers::Contains("a llama model has none"));
  REQUIRE(read_config(with(llama(), {{"sliding_window", nullptr}})).model.attention_pattern ==
          "GGGGG");
}

TEST_CASE("layer_types make the layout of cwm and must not contradict the others") {
  const std::string full = "full_attention", sliding = "sliding_attention";
  const Json mixed = {sliding, full, sliding, sliding, full};
  const auto model = read_config(as("cwm", {{"layer_types", mixed}, {"sliding_window", 8}})).model;
  REQUIRE(model.attention_pattern == "LGLLG");
  REQUIRE(model.window_size == 7);
  REQUIRE_THAT(problem_of_config(as("cwm", {{"layer_types", mixed}, {"sliding_window", nullptr}})),
               Catch::Matchers::Contains("sliding_window: missing"));
  const Json all_full = {full, full, full, full, full};
  const auto plain = read_config(as("cwm", {{"layer_types", all_full}})).model;
  REQUIRE(plain.attention_pattern == "GGGGG");
  REQUIRE_FALSE(plain.window_size.has_value());
  for (const Json& wrong :
       {Json({full, full}), Json({full, full, full, full, "chunked_attention"}), Json(full)})
    REQUIRE_THAT(problem_of_config(as("cwm", {{"layer_types", wrong}})),
                 Catch::Matchers::Contains("layer_types: must list full_attention or"));

  REQUIRE(read_config(with(llama(), {{"layer_types", all_full}})).model.attention_pattern ==
          "GGGGG");
  REQUIRE_THAT(problem_of_config(with(llama(), {{"layer_types", mixed}})),
               Catch::Matchers::Contains("layer_types: contradicts the layers of a llama model"));
  REQUIRE_THAT(problem_of_config(as("mistral", {{"layer_types", mixed}, {"sliding_window", 8}})),
               Catch::Matchers::Contains("which are here LLLLL"));
}

TEST_CASE("ministral is what its list of layers says, else what mistral is") {
  const Json mixed = {"full_attention", "sliding_attention", "sliding_attention", "full_attention",
                      "full_attention"};
  const auto model =
      read_config(as("ministral", {{"layer_types", mixed}, {"sliding_window", 9}})).model;
  REQUIRE(model.attention_pattern == "GLLGG");
  REQUIRE(model.window_size == 8);
  REQUIRE(read_config(as("ministral")).model.attention_pattern == "LLLLL");
  REQUIRE(read_config(as("ministral")).model.window_size == 4095);
  REQUIRE(read_config(as("ministral", {{"sliding_window", nullptr}})).model.attention_pattern ==
          "GGGGG");
}

TEST_CASE("qwen3 has QK-norm, and a window only where it is switched on") {
  const auto plain = read_config(as("qwen3", {{"use_qk_norm", true}})).model;
  REQUIRE(plain.qk_norm == QkNorm::head);
  REQUIRE(plain.attention_pattern == "GGGGG");
  REQUIRE_FALSE(plain.norm_placement.has_value());
  const Json window = {{"sliding_window", 9}, {"max_window_layers", 3}};
  REQUIRE(read_config(as("qwen3", window)).model.attention_pattern == "GGGGG");
  const auto local = read_config(as("qwen3", with(window, {{"use_sliding_window", true}}))).model;
  REQUIRE(local.attention_pattern == "GGGLL");
  REQUIRE(local.window_size == 8);
  const Json types = {"sliding_attention", "full_attention", "full_attention", "full_attention",
                      "full_attention"};
  const Json listed = with(window, {{"layer_types", types}, {"use_sliding_window", true}});
  REQUIRE(read_config(as("qwen3", listed)).model.attention_pattern == "LGGGG");
  REQUIRE_THAT(
      problem_of_config(as("qwen3", with(listed, {{"use_sliding_window", false}}))),
      Catch::Matchers::Contains("sliding_window: missing, or use_sliding_window is not true"));
  const auto bare = read_config(without(as("qwen3"), "head_dim")).model;
  REQUIRE(bare.head_dim == 128);
}

TEST_CASE("olmo3 has reordered norms, QK-norm of projections, and its last layer of four global") {
  const Json rope = {{"rope_parameters",
                      {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5e5}}},
                       {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}}}};
  const auto model = read_config(as("olmo3", rope)).model;
  REQUIRE(model.norm_placement == NormPlacement::reordered);
  REQUIRE(model.qk_norm == QkNorm::projection);
  REQUIRE(model.attention_sink == AttentionSink::none);
  REQUIRE(model.attention_pattern == "LLLGL");
  REQUIRE(model.window_size == 4095);
  REQUIRE(model.rope_theta == 5e5);
  REQUIRE(model.local_rope_theta == 1e4);
  REQUIRE_THAT(problem_of_config(as("olmo3", with(rope, {{"clip_qkv", 8.0}}))),
               Catch::Matchers::Contains("clip_qkv: 8.0 cannot be imported"));
}

// The multipliers as Zebra computes, with heads of 16.
Json granite(const Json& changes = Json::object()) {
  return with(as("granite_swa", {{"head_dim", 16},
                                 {"attention_multiplier", 0.25},
                                 {"embedding_multiplier", 1.0},
                                 {"residual_multiplier", 1},
                                 {"logits_scaling", 1.0},
                                 {"sliding_window", 9}}),
              changes);
}

TEST_CASE("granite_swa has sinks everywhere and a base for each layer") {
  auto model = read_config(granite()).model;
  REQUIRE(model.attention_sink == AttentionSink::all);
  REQUIRE(model.attention_pattern == "GLLLG");
  REQUIRE(model.window_size == 8);
  REQUIRE(model.rope_theta == 5e5);
  REQUIRE_FALSE(model.global_rope_theta.has_value());
  REQUIRE(read_config(without(granite(), "tie_word_embeddings")).model.tie_word_embeddings);

  model = read_config(granite({{"layer_rope_theta", {0, 1e4, 1e4, 1e4, 0.0}}})).model;
  REQUIRE(model.global_rope_theta == 0.0);
  REQUIRE(model.local_rope_theta == 1e4);
  REQUIRE(model.rope_theta == 1e4);
  REQUIRE_THAT(problem_of_config(granite({{"layer_rope_theta", {1e6, 1e4, 1e3, 1e4, 1e6}}})),
               Catch::Matchers::Contains("layer_rope_theta: gives sliding layers different bases"));
  for (const Json& wrong : {Json({1, 1}), Json({1, 1, 1, 1, -1}), Json(7), Json({1, 1, 1, 1, "1"})})
    REQUIRE_THAT(problem_of_config(granite({{"layer_rope_theta", wrong}})),
                 Catch::Matchers::Contains("must list a number of at least 0 for each of the 5"));
}

TEST_CASE("the multipliers of granite_swa must be those of Zebra") {
  REQUIRE_THAT(problem_of_config(granite({{"attention_multiplier", 0.0625}})),
               Catch::Matchers::Contains("attention_multiplier: 0.0625 cannot be imported: Zebra "
                                         "multiplies scores by head_dim ** -0.5 = 0.25"));
  REQUIRE_THAT(problem_of_config(without(granite(), "attention_multiplier")),
               Catch::Matchers::Contains("attention_multiplier: absent, so 1, cannot be imported"));
  for (const char* key : {"embedding_multiplier", "residual_multiplier", "logits_scaling"})
    REQUIRE_THAT(problem_of_config(granite({{key, 12.0}})),
                 Catch::Matchers::Contains(std::string(key) + ": 12.0 cannot be imported"));
}

TEST_CASE("the authors' own Zebra is a llama with four keys") {
  const Json keys = {
      {"self_attn_type", "mix"}, {"layer_group_size", 2}, {"window_size", 8}, {"use_fsdp", true}};
  const auto model = read_config(with(llama(), keys)).model;
  REQUIRE(model.attention_pattern == "GLGLG");
  REQUIRE(model.window_size == 8);  // W, not W + 1
  const auto of_type = [&](const char* type) {
    return read_config(with(with(llama(), keys), {{"self_attn_type", type}})).model;
  };
  REQUIRE(of_type("full").attention_pattern == "GGGGG");
  REQUIRE(of_type("sparse").attention_pattern == "LLLLL");
  REQUIRE_THAT(problem_of_config(without(with(llama(), keys), "self_attn_type")),
               Catch::Matchers::Contains("self_attn_type: missing beside layer_group_size"));
  REQUIRE_THAT(problem_of_config(without(with(llama(), keys), "window_size")),
               Catch::Matchers::Contains("window_size: missing, but some layers"));
  REQUIRE_THAT(problem_of_config(without(with(llama(), keys), "layer_group_size")),
               Catch::Matchers::Contains("layer_group_size: missing"));
  REQUIRE_THAT(problem_of_config(as("mistral", {{"window_size", 8}})),
               Catch::Matchers::Contains("window_size: unknown key"));
}

TEST_CASE("our own architecture has its own keys") {
  const Json keys = {{"attention_pattern", "GLGLL"}, {"window_size", 6},
                     {"sliding_window", 7},          {"qk_norm", true},
                     {"attention_sink", true},       {"global_rope_theta", 0},
                     {"local_rope_theta", 1e3}};
  const Json zebra = as("zebra", keys);
  const auto model = read_config(zebra).model;
  REQUIRE(model.attention_pattern == "GLGLL");
  REQUIRE(model.window_size == 6);
  REQUIRE(model.qk_norm == QkNorm::head);
  REQUIRE(model.attention_sink == AttentionSink::local);
  const auto more = read_config(with(zebra, {{"norm_placement", "reordered"},
                                             {"qk_norm", "projection"},
                                             {"attention_sink", "all"}}))
                        .model;
  REQUIRE(more.norm_placement == NormPlacement::reordered);
  REQUIRE(more.qk_norm == QkNorm::projection);
  REQUIRE(more.attention_sink == AttentionSink::all);
  REQUIRE_THAT(problem_of_config(with(zebra, {{"attention_sink", "some"}})),
               Catch::Matchers::Contains("attention_sink: must be one of false, true, all, not"));
  REQUIRE(model.global_rope_theta == 0.0);
  REQUIRE(model.local_rope_theta == 1e3);
  REQUIRE(read_config(without(zebra, "window_size")).model.window_size == 6);
  REQUIRE(read_config(without(zebra, "sliding_window")).model.window_size == 6);
  REQUIRE_THAT(problem_of_config(with(zebra, {{"window_size", 7}})),
               Catch::Matchers::Contains("window_size: 7 contradicts sliding_window, 7"));
  REQUIRE_THAT(problem_of_config(with(zebra, {{"attention_pattern", "GL"}})),
               Catch::Matchers::Contains("for each of the 5 layers"));
  REQUIRE_THAT(problem_of_config(with(zebra, {{"local_rope_theta", -1}})),
               Catch::Matchers::Contains("local_rope_theta: must be at least 0"));
  // On the stock architectures they are unknown.
  REQUIRE_THAT(problem_of_config(with(llama(), {{"qk_norm", true}})),
               Catch::Matchers::Contains("qk_norm: unknown key"));
}

TEST_CASE("keys that change the mathematics are refused unless they are neutral") {
  const std::vector<std::pair<std::string, Json>> changing = {
      {"attention_bias", true},       {"mlp_bias", true},
      {"hidden_act", "gelu"},         {"pretraining_tp", 2},
      {"partial_rotary_factor", 0.5}, {"quantization_config", {{"bits", 4}}},
      {"logit_scale", 0.0625},        {"final_logit_softcapping", 30.0},
      {"use_qk_norm", true},          {"per_layer_config", {{"0", {{"sliding_window", 4}}}}}};
  for (const auto& [key, value] : changing)
    REQUIRE_THAT(problem_of_config(with(llama(), {{key, value}})),
                 Catch::Matchers::Contains("config.json: " + key + ": ") &&
                     Catch::Matchers::Contains("cannot be imported"));
  read_config(with(llama(), {{"attention_bias", nullptr},
                             {"hidden_act", "swish"},
                             {"partial_rotary_factor", 1.0},
                             {"quantization_config", nullptr},
                             {"logit_scale", 1.0},
                             {"per_layer_config", Json::object()}}));
}

TEST_CASE("bookkeeping is ignored, an unknown key is named with the nearest known one") {
  read_config(with(llama(), {{"torch_dtype", "bfloat16"},
                             {"_name_or_path", "somewhere"},
                             {"use_cache", false},
                             {"attention_dropout", 0.1},
                             {"auto_map", Json::object()},
                             {"temperature", 0.6}}));
  const std::string problem = problem_of_config(with(llama(), {{"rope_thetta", 1e4}}));
  REQUIRE_THAT(problem, Catch::Matchers::Contains("rope_thetta: unknown key") &&
                            Catch::Matchers::Contains("is rope_theta meant?"));
}

TEST_CASE("keys that conversions and trainers leave behind pass where they change nothing") {
  const Json harmless = {{"is_llama_config", true},
                         {"rope_interleaved", false},
                         {"use_flash_attn", true},
                         {"use_sliding_window", false},
                         {"max_window_layers", 5},
                         {"use_bidirectional_attention", false},
                         {"loss_type", "ForCausalLM"},
                         {"ffn_dim", 80},
                         {"bias", false},
                         {"parallel_attn", false},
                         {"pruned_heads", Json::object()},
                         {"bad_words_ids", nullptr},
                         {"is_decoder", false},
                         {"hidden_dropout", 0.1},
                         {"seq_length", 96},
                         {"initializer_range", 0},
                         {"query_pre_attn_scalar", 12},
                         {"num_experts", 0},
                         {"use_rope", true},
                         {"whatever_this_is", nullptr},
                         {"a_switch", false}};
  const auto config = read_config(with(llama(), harmless));
  REQUIRE(config.model.initializer_range == 0.02);
  REQUIRE(config.passed_keys == std::vector<std::string>{"a_switch", "whatever_this_is"});
  for (const Json& changes : std::vector<Json>{{{"rope_interleaved", true}},
                                               {{"use_bidirectional_attention", true}},
                                               {{"ffn_dim", 81}},
                                               {{"bias", true}},
                                               {{"parallel_attn", true}},
                                               {{"pruned_heads", {{"1", {2}}}}},
                                               {{"initializer_range", -0.1}},
                                               {{"query_pre_attn_scalar", 256}},
                                               {{"num_experts", 8}},
                                               {{"use_rope", false}},
                                               {{"whatever_this_is", true}},
                                               {{"a_number", 0}}}) {
    REQUIRE_THAT(problem_of_config(with(llama(), changes)),
                 Catch::Matchers::Contains("config.json: " + changes.begin().key() + ": "));
  }
  const auto mistral = as("mistral", {{"sliding_window", 17}});
  REQUIRE_THAT(problem_of_config(with(mistral, {{"use_sliding_window", false}})),
               Catch::Matchers::Contains("use_sliding_window: false, but"));
  REQUIRE_THAT(problem_of_config(with(mistral, {{"max_window_layers", 2}})),
               Catch::Matchers::Contains("max_window_layers: 2 cannot be imported"));
}

TEST_CASE("keys are ignored on request, and must be there") {
  const Json odd =
      with(llama(),
           {{"mystery", 1},
            {"attention_bias", true},
            {"a.b", 2},
            {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e4}, {"mystery", 3}}}});
  const auto problems_without = [&](const std::vector<std::string>& ignored) {
    Problems problems;
    const auto config = read_huggingface_config(odd.dump(), "config.json", problems, ignored);
    REQUIRE(config.has_value() == problems.empty());
    return problems.all();
  };
  REQUIRE(
      problems_without({"mystery", "attention_bias", "a.b", "rope_parameters.mystery"}).empty());
  REQUIRE(problems_without({"mystery"}).size() == 3);
  const auto absent = problems_without(
      {"mystery", "attention_bias", "a.b", "rope_parameters.mystery", "absent", "rope_theta.x"});
  REQUIRE(absent == std::vector<std::string>{
                        "config.json: has no key \"absent\", which is to be ignored",
                        "config.json: has no key \"rope_theta.x\", which is to be ignored"});
}

TEST_CASE("a text that not everybody reads alike is refused, with the place") {
  const auto fault = [](const std::string& text) {
    const auto problems = problems_of_text(text);
    REQUIRE(problems.size() == 1);
    return problems.front();
  };
  std::string text = llama().dump();
  REQUIRE_THAT(fault("{\"hidden_size\": 64, " + text.substr(1)),
               Catch::Matchers::Contains("has the name \"hidden_size\" twice"));
  REQUIRE_THAT(fault("{\"note\": 1e999, " + text.substr(1)),
               Catch::Matchers::Contains("not JSON at byte"));
  Problems problems;
  REQUIRE(read_huggingface_config("\n " + text + "\n", "config.json", problems).has_value());
}

TEST_CASE("all problems of a config.json are reported at once") {
  const auto problems = problems_of(with(llama(), {{"hidden_size", "wide"},
                                                   {"attention_bias", true},
                                                   {"num_hidden_layers", 0},
                                                   {"layer_types", Json::array()},
                                                   {"mystery", 1}}));
  INFO(join(problems, "\n"));
  REQUIRE(problems.size() == 4);  // layer_types cannot be held against no number of layers
  REQUIRE(problems[0] ==
          "config.json: hidden_size: must be a whole number from 1 to 16777216, not \"wide\"");
}

TEST_CASE("values of another type or out of range are refused") {
  REQUIRE_THAT(problem_of_config(with(llama(), {{"vocab_size", 321.0}})),
               Catch::Matchers::Contains("vocab_size: must be a whole number"));
  REQUIRE_THAT(problem_of_config(with(llama(), {{"vocab_size", 18446744073709551615ull}})),
               Catch::Matchers::Contains("vocab_size: must be a whole number"));
  REQUIRE_THAT(problem_of_config(with(llama(), {{"rms_norm_eps", 0}})),
               Catch::Matchers::Contains("rms_norm_eps: must be greater than 0, not 0"));
  REQUIRE_THAT(problem_of_config(with(llama(), {{"rms_norm_eps", nullptr}})),
               Catch::Matchers::Contains("rms_norm_eps: null; give its value"));
  REQUIRE_THAT(problem_of_config(with(llama(), {{"tie_word_embeddings", "no"}})),
               Catch::Matchers::Contains("tie_word_embeddings: must be true or false"));
  REQUIRE_THAT(problem_of_config(with(llama(), {{"head_dim", nullptr}, {"hidden_size", 50}})),
               Catch::Matchers::Contains("hidden_size: 50 is not a multiple of the 4"));
  const std::string deep(200000, '[');
  REQUIRE_THAT(
      problems_of_text("{\"model_type\": " + deep + std::string(deep.size(), ']') + "}").front(),
      Catch::Matchers::Contains("nested deeper than 64 levels"));
  REQUIRE(problems_of_text("{\"hidden_size\": ") ==
          std::vector<std::string>{"config.json: is not a JSON object: it is not JSON at byte 17"});
  REQUIRE(problems_of_text("[1]") ==
          std::vector<std::string>{"config.json: is not a JSON object: it does not begin with {"});
}

TEST_CASE("eos_token_id may be a list, and both ids may be null") {
  REQUIRE(read_config(with(llama(), {{"eos_token_id", {7, 2}}})).eos_token_ids ==
          std::vector<std::int64_t>{7, 2});
  const auto none =
      read_config(with(llama(), {{"eos_token_id", nullptr}, {"bos_token_id", nullptr}}));
  REQUIRE(none.eos_token_ids.empty());
  REQUIRE_FALSE(none.bos_token_id.has_value());
  for (const Json& wrong : {Json("</s>"), Json::array(), Json({2, "</s>"})})
    REQUIRE_THAT(problem_of_config(with(llama(), {{"eos_token_id", wrong}})),
                 Catch::Matchers::Contains("eos_token_id: must be"));
}

TEST_CASE("another architecture is refused before its keys are judged") {
  REQUIRE(problem_of_config({{"model_type", "bert"}, {"mystery", 1}}) ==
          "config.json: model_type: \"bert\" cannot be imported; Zebra reads llama, mistral, "
          "ministral, cwm, qwen3, olmo3, granite_swa and zebra");
  for (const auto& [name, reason] : {std::pair("qwen2", "queries, keys and values have biases"),
                                     std::pair("gpt_oss", "feed-forward layers are experts"),
                                     std::pair("ministral3", "scales queries by their position")})
    REQUIRE_THAT(
        problem_of_config({{"model_type", name}}),
        Catch::Matchers::Contains("cannot be imported: it") && Catch::Matchers::Contains(reason));
  REQUIRE_THAT(problem_of_config(without(llama(), "model_type")),
               Catch::Matchers::Contains("model_type: missing; Zebra reads llama"));
}

}  // namespace
}  // namespace zebra
