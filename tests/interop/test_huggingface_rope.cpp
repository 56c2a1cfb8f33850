#include "interop/huggingface_rope.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Json = nlohmann::json;

constexpr RopeConventions kLlama = {.default_theta = 1e4};
constexpr RopeConventions kOlmo3 = {.default_theta = 5e5, .is_by_kind = true};
constexpr RopeConventions kZebra = {.is_zebra = true};
constexpr std::int64_t kPositions = 64;

// As a cwm, which is scaled where nothing is said.
RopeConventions cwm_conventions() {
  RopeConventions conventions = {.default_theta = 1e6};
  conventions.default_scaling = RopeScalingSection();
  conventions.default_scaling->type = RopeScaling::llama3;
  conventions.default_scaling->factor = 16.0;
  conventions.default_scaling->original_max_position_embeddings = 8192;
  return conventions;
}

HuggingFaceRope read_rope(const Json& json, const RopeConventions& conventions = kLlama,
                          const std::string& pattern = "GL") {
  Problems problems;
  JsonFields fields(json, "config.json", "", problems);
  const auto rope = read_huggingface_rope(fields, conventions, kPositions, pattern);
  fields.report_unknown();
  INFO(json.dump() << "\n" << join(problems.all(), "\n"));
  REQUIRE(problems.empty());
  return rope;
}

std::string problem_of_rope(const Json& json, const RopeConventions& conventions = kLlama,
                            const std::string& pattern = "GL") {
  Problems problems;
  JsonFields fields(json, "config.json", "", problems);
  read_huggingface_rope(fields, conventions, kPositions, pattern);
  INFO(json.dump() << "\n" << join(problems.all(), "\n"));
  REQUIRE(problems.all().size() == 1);
  return problems.all().front();
}

TEST_CASE("both spellings of a scaling read alike") {
  const std::vector<std::pair<Json, RopeScaling>> scalings = {
      {{{"rope_type", "linear"}, {"factor", 2.5}}, RopeScaling::linear},
      {{{"rope_type", "dynamic"}, {"factor", 2.5}}, RopeScaling::dynamic},
      {{{"rope_type", "yarn"}, {"factor", 2.5}, {"original_max_position_embeddings", 24}},
       RopeScaling::yarn}};
  for (const auto& [scaling, type] : scalings) {
    Json of_today = scaling, of_old = scaling;
    of_today["rope_theta"] = 5e5;
    of_old.erase("rope_type");
    of_old["type"] = scaling["rope_type"];
    const Json old_spelling = {{"rope_theta", 5e5}, {"rope_scaling", of_old}};
    const Json both = {
        {"rope_theta", 5e5}, {"rope_scaling", of_old}, {"rope_parameters", of_today}};
    for (const Json& json : {Json{{"rope_parameters", of_today}}, old_spelling, both}) {
      const auto rope = read_rope(json);
      REQUIRE(rope.theta == 5e5);
      REQUIRE(rope.scaling.type == type);
      REQUIRE(rope.scaling.factor == 2.5);
      REQUIRE(rope.scaling.layers == ScaledLayers::all);
      if (type == RopeScaling::yarn) REQUIRE(rope.scaling.original_max_position_embeddings == 24);
    }
  }
  REQUIRE(read_rope({{"rope_theta", 7e4}, {"rope_scaling", nullptr}}).theta == 7e4);
  REQUIRE(read_rope(Json::object()).theta == 1e4);
  REQUIRE(read_rope({{"rope_scaling", Json::object()},
                     {"rope_parameters", {{"rope_type", "linear"}, {"factor", 2}}}})
              .scaling.type == RopeScaling::linear);
}

TEST_CASE("spellings that contradict each other are refused") {
  REQUIRE_THAT(
      problem_of_rope({{"rope_theta", 1e4}, {"rope_parameters", {{"rope_theta", 7e4}}}}),
      Catch::Matchers::Contains("rope_parameters.rope_theta: 70000 contradicts the rope_theta"));
  const Json linear = {{"rope_type", "linear"}, {"factor", 2}};
  REQUIRE_THAT(problem_of_rope({{"rope_scaling", linear},
                                {"rope_parameters", {{"rope_type", "linear"}, {"factor", 4}}}}),
               Catch::Matchers::Contains("says linear by 4, rope_scaling says linear by 2"));
  REQUIRE_THAT(
      problem_of_rope({{"rope_scaling", linear}, {"rope_parameters", {{"rope_theta", 1e4}}}}),
      Catch::Matchers::Contains("says none by 1"));
  REQUIRE_THAT(
      problem_of_rope(
          {{"rope_scaling", {{"rope_type", "linear"}, {"type", "yarn"}, {"factor", 2}}}}),
      Catch::Matchers::Contains("rope_scaling.type: \"yarn\" contradicts rope_type, \"linear\""));
}

TEST_CASE("dynamic scaling starts at max_position_embeddings, as transformers has it") {
  const Json dynamic = {{"rope_type", "dynamic"}, {"factor", 2}};
  Json with_original = dynamic;
  with_original["original_max_position_embeddings"] = 32;
  REQUIRE(read_rope({{"rope_parameters", dynamic}}).scaling.original_max_position_embeddings ==
          kPositions);
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", with_original}}),
               Catch::Matchers::Contains("32 is ignored by transformers"));
  REQUIRE_THAT(
      problem_of_rope({{"rope_parameters", dynamic}, {"original_max_position_embeddings", 32}}),
      Catch::Matchers::Contains("32 is ignored by transformers"));
  // Our own architecture has the two lengths apart.
  with_original["rope_theta"] = 1e4;
  REQUIRE(read_rope({{"rope_parameters", with_original}}, kZebra)
              .scaling.original_max_position_embeddings == 32);
}

TEST_CASE("YaRN's values, and what would change its amplitude") {
  const Json yarn = {{"rope_type", "yarn"}, {"factor", 4}, {"beta_fast", 16}, {"beta_slow", 0}};
  const auto scaling = read_rope({{"rope_parameters", yarn}}).scaling;
  REQUIRE(scaling.original_max_position_embeddings == kPositions);
  REQUIRE(scaling.beta_fast == 16.0);
  REQUIRE(scaling.beta_slow == 1.0);
  REQUIRE(read_rope({{"rope_parameters", yarn}, {"original_max_position_embeddings", 40}})
              .scaling.original_max_position_embeddings == 40);

  const auto and_key = [&](const char* key, const Json& value, Json json) {
    json[key] = value;
    return json;
  };
  const auto parameters = [](const Json& json) { return Json{{"rope_parameters", json}}; };
  read_rope(parameters(and_key("attention_factor", 0.1 * std::log(4.0) + 1.0, yarn)));
  read_rope(parameters(and_key("mscale", 0.707, yarn)));  // without mscale_all_dim it has no effect
  read_rope(parameters(and_key("truncate", true, yarn)));
  REQUIRE_THAT(problem_of_rope(parameters(and_key("attention_factor", 1.0, yarn))),
               Catch::Matchers::Contains("attention_factor: gives an attention factor of 1;"));
  REQUIRE_THAT(
      problem_of_rope(parameters(and_key("mscale", 1.0, and_key("mscale_all_dim", 1.0, yarn)))),
      Catch::Matchers::Contains("mscale: gives an attention factor of 1;"));
  REQUIRE_THAT(problem_of_rope(parameters(and_key("truncate", false, yarn))),
               Catch::Matchers::Contains("truncate: false cannot be imported"));
  Json contradictory = parameters(and_key("original_max_position_embeddings", 24, yarn));
  contradictory["original_max_position_embeddings"] = 40;
  REQUIRE_THAT(problem_of_rope(contradictory), Catch::Matchers::Contains("24 contradicts"));
}

TEST_CASE("llama3 scaling and its two bounds") {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8},
                       {"low_freq_factor", 1.5},
                       {"high_freq_factor", 4},
                       {"original_max_position_embeddings", 32}};
  for (const char* spelling : {"rope_parameters", "rope_scaling"}) {
    const auto scaling = read_rope({{spelling, llama3}}).scaling;
    REQUIRE(scaling.type == RopeScaling::llama3);
    REQUIRE(scaling.factor == 8.0);
    REQUIRE(scaling.low_freq_factor == 1.5);
    REQUIRE(scaling.high_freq_factor == 4.0);
    REQUIRE(scaling.original_max_position_embeddings == 32);
  }
  Json changed = llama3;
  changed.erase("original_max_position_embeddings");
  REQUIRE(read_rope({{"rope_parameters", changed}}).scaling.original_max_position_embeddings ==
          kPositions);
  changed.erase("high_freq_factor");
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", changed}}),
               Catch::Matchers::Contains("rope_parameters.high_freq_factor: missing"));
  changed["high_freq_factor"] = 0;
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", changed}}),
               Catch::Matchers::Contains("high_freq_factor: must be greater than 0"));
}

TEST_CASE("other scalings are refused") {
  REQUIRE_THAT(
      problem_of_rope({{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1, 1}}}}}),
      Catch::Matchers::Contains("rope_scaling.type: \"longrope\" scaling cannot be imported: Zebra "
                                "has linear, dynamic, yarn and llama3"));
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", {{"rope_type", "default"}, {"factor", 8}}}}),
               Catch::Matchers::Contains("factor: 8 cannot be imported"));
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}),
               Catch::Matchers::Contains("partial_rotary_factor: 0.5 cannot be imported"));
}

TEST_CASE("a scaling has its factor, and no key of another") {
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", {{"rope_type", "linear"}}}}),
               Catch::Matchers::Contains("rope_parameters.factor: missing"));
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", {{"rope_type", "linear"}, {"factor", 0.5}}}}),
               Catch::Matchers::Contains("factor: must be at least 1, not 0.5"));
  REQUIRE_THAT(problem_of_rope({{"rope_parameters",
                                 {{"rope_type", "linear"}, {"factor", 2}, {"beta_fast", 32}}}}),
               Catch::Matchers::Contains("rope_parameters.beta_fast: unknown key"));
  REQUIRE_THAT(problem_of_rope({{"rope_scaling", "linear"}}),
               Catch::Matchers::Contains("rope_scaling: must be a map of keys"));
}

TEST_CASE("what transformers supposes where nothing is said is read so") {
  const auto cwm = cwm_conventions();
  for (const Json& silent : {Json::object(), Json{{"rope_theta", 1e6}}}) {
    const auto rope = read_rope(silent, cwm);
    REQUIRE(rope.theta == 1e6);
    REQUIRE(rope.scaling == *cwm.default_scaling);
  }
  REQUIRE_THAT(problem_of_rope({{"rope_theta", 5e5}}, cwm),
               Catch::Matchers::Contains("rope_theta: 5e+05 is ignored by transformers"));
  // An empty map is one without scaling.
  REQUIRE(read_rope({{"rope_parameters", Json::object()}}, cwm).scaling.type == RopeScaling::none);
  const auto given = read_rope({{"rope_parameters", {{"rope_type", "default"}}}}, cwm);
  REQUIRE(given.scaling.type == RopeScaling::none);
  REQUIRE(given.theta == 1e6);
}

Json by_kind(const Json& full, const Json& sliding) {
  return {{"rope_parameters", {{"full_attention", full}, {"sliding_attention", sliding}}}};
}

TEST_CASE("each kind of layer may have a map of its own") {
  const Json plain = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  const Json yarn = {{"rope_type", "yarn"}, {"rope_theta", 5e5}, {"factor", 4}};
  auto rope = read_rope(by_kind(plain, plain), kOlmo3);
  REQUIRE(rope.theta == 5e5);
  REQUIRE_FALSE(rope.local_theta.has_value());
  REQUIRE(rope.scaling.type == RopeScaling::none);
  REQUIRE(rope.scaling.layers == ScaledLayers::all);

  rope = read_rope(by_kind(yarn, plain), kOlmo3);
  REQUIRE(rope.scaling.type == RopeScaling::yarn);
  REQUIRE(rope.scaling.layers == ScaledLayers::global);
  REQUIRE(read_rope(by_kind(yarn, yarn), kOlmo3).scaling.layers == ScaledLayers::all);

  Json slow = plain;
  slow["rope_theta"] = 1e4;
  rope = read_rope(by_kind(plain, slow), kOlmo3);
  REQUIRE(rope.theta == 5e5);
  REQUIRE(rope.local_theta == 1e4);

  REQUIRE_THAT(problem_of_rope(by_kind(plain, yarn), kOlmo3),
               Catch::Matchers::Contains("scales sliding layers (yarn by 4) and full ones"));
  // A kind that no layer is of does not matter.
  rope = read_rope(by_kind(slow, yarn), kOlmo3, "LL");
  REQUIRE(rope.theta == 5e5);
  REQUIRE(rope.scaling.type == RopeScaling::yarn);
  REQUIRE(rope.scaling.layers == ScaledLayers::all);
  REQUIRE(read_rope(by_kind(slow, yarn), kOlmo3, "GG").theta == 1e4);
}

TEST_CASE("the older spelling of OLMo 3 is for full layers, its theta too") {
  const Json scaling = {{"rope_type", "linear"}, {"factor", 2}};
  auto rope = read_rope({{"rope_theta", 5e5}, {"rope_scaling", scaling}}, kOlmo3);
  REQUIRE(rope.theta == 5e5);
  REQUIRE(rope.scaling.type == RopeScaling::linear);
  REQUIRE(rope.scaling.layers == ScaledLayers::global);
  REQUIRE(read_rope(Json::object(), kOlmo3).theta == 5e5);
  REQUIRE_THAT(problem_of_rope({{"rope_theta", 1e4}}, kOlmo3),
               Catch::Matchers::Contains("rope_theta: 10000 does not reach sliding layers") &&
                   Catch::Matchers::Contains("give rope_parameters.sliding_attention.rope_theta"));
  REQUIRE(read_rope({{"rope_theta", 1e4}}, kOlmo3, "GG").theta == 1e4);
  // Both spellings, as an export has them.
  Json both = by_kind({{"rope_type", "linear"}, {"factor", 2}, {"rope_theta", 5e5}},
                      {{"rope_type", "default"}, {"rope_theta", 5e5}});
  both["rope_theta"] = 5e5;
  both["rope_scaling"] = scaling;
  REQUIRE(read_rope(both, kOlmo3).scaling.layers == ScaledLayers::global);
  both["rope_scaling"]["factor"] = 4;
  REQUIRE_THAT(problem_of_rope(both, kOlmo3),
               Catch::Matchers::Contains("rope_parameters.full_attention: says linear by 2"));
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", {{"mystery", 1}}}}, kOlmo3),
               Catch::Matchers::Contains("rope_parameters.mystery: unknown key"));
}

TEST_CASE("our own architecture names its theta, and may scale global layers only") {
  REQUIRE_THAT(problem_of_rope(Json::object(), kZebra),
               Catch::Matchers::Contains("rope_theta: missing"));
  const Json global = {
      {"rope_type", "linear"}, {"factor", 2}, {"rope_theta", 1e4}, {"layers", "global"}};
  REQUIRE(read_rope({{"rope_parameters", global}}, kZebra).scaling.layers == ScaledLayers::global);
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", global}}),
               Catch::Matchers::Contains("rope_parameters.layers: unknown key"));
  Json wrong = global;
  wrong["layers"] = "local";
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", wrong}}, kZebra),
               Catch::Matchers::Contains("layers: must be all or global, not \"local\""));
}

}  // namespace
}  // namespace zebra
