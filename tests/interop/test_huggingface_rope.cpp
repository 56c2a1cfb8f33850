#include "interop/huggingface_rope.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Json = nlohmann::json;

constexpr RopeConventions kLlama = {.default_theta = 1e4};
constexpr RopeConventions kCwm = {.default_theta = 1e6, .must_be_given = true};
constexpr RopeConventions kZebra = {.is_zebra = true};
constexpr std::int64_t kPositions = 64;

HuggingFaceRope read_rope(const Json& json, const RopeConventions& conventions = kLlama) {
  Problems problems;
  JsonFields fields(json, "config.json", "", problems);
  const auto rope = read_huggingface_rope(fields, conventions, kPositions);
  fields.report_unknown();
  INFO(json.dump() << "\n" << join(problems.all(), "\n"));
  REQUIRE(problems.empty());
  return rope;
}

std::string problem_of_rope(const Json& json, const RopeConventions& conventions = kLlama) {
  Problems problems;
  JsonFields fields(json, "config.json", "", problems);
  read_huggingface_rope(fields, conventions, kPositions);
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

TEST_CASE("other scalings are refused unless they scale by nothing") {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8},
                       {"low_freq_factor", 1},
                       {"high_freq_factor", 4},
                       {"original_max_position_embeddings", 32}};
  REQUIRE_THAT(problem_of_rope({{"rope_parameters", llama3}}),
               Catch::Matchers::Contains("\"llama3\" scaling cannot be imported"));
  Json neutral = llama3;
  neutral["factor"] = 1;
  REQUIRE(read_rope({{"rope_parameters", neutral}}).scaling.type == RopeScaling::none);
  REQUIRE_THAT(
      problem_of_rope({{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1, 1}}}}}),
      Catch::Matchers::Contains("rope_scaling.type: \"longrope\" scaling"));
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

TEST_CASE("where transformers would suppose llama3 scaling the rope must be given") {
  REQUIRE_THAT(problem_of_rope({{"rope_theta", 1e6}}, kCwm),
               Catch::Matchers::Contains("rope_parameters: missing: transformers then supposes"));
  REQUIRE(read_rope({{"rope_parameters", {{"rope_type", "default"}}}}, kCwm).theta == 1e6);
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
