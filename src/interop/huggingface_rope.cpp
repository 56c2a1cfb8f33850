#include "interop/huggingface_rope.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/names.h"
#include "interop/huggingface_architecture.h"

namespace zebra {
namespace {

constexpr const char* kOriginal = "original_max_position_embeddings";
constexpr double kAmplitudeTolerance = 1e-6;

struct Reading {
  const RopeConventions& conventions;
  std::int64_t max_position_embeddings;
  std::optional<std::int64_t> outer_original;  // beside the map, as Phi-3 has it
};

// One rotary embedding, as far as it has been read over its spellings.
struct Spelled {
  std::optional<double> theta = {};
  std::optional<RopeScalingSection> scaling = {};
  bool sound = true;
};

// The name of the scaling: `rope_type`, called `type` before transformers 4.43.
std::string type_of(JsonFields& map) {
  const auto name = map.text("rope_type"), old_name = map.text("type");
  if (name && old_name && name != old_name)
    map.problem("type", "\"" + *old_name + "\" contradicts rope_type, \"" + *name + "\"");
  return name.value_or(old_name.value_or("default"));
}

double factor_of(JsonFields& map) {
  const auto factor = map.number("factor");
  if (factor && *factor < 1.0) {
    map.problem("factor", "must be at least 1, not " + round_trip(*factor));
  } else if (!factor && map.sound({"factor"})) {
    map.problem("factor", "missing: how many times longer than the original?");
  }
  return factor.value_or(1.0);
}

std::int64_t original_of_dynamic(JsonFields& map, const Reading& reading) {
  const auto inner = map.integer(kOriginal, 1, kLongest);
  if (reading.conventions.is_zebra) return inner.value_or(reading.max_position_embeddings);
  for (const auto& given : {inner, reading.outer_original}) {
    if (!given || *given == reading.max_position_embeddings) continue;
    map.problem(kOriginal, std::to_string(*given) +
                               " is ignored by transformers, whose dynamic scaling begins beyond "
                               "max_position_embeddings (" +
                               std::to_string(reading.max_position_embeddings) +
                               "); make them equal");
    break;
  }
  return reading.max_position_embeddings;
}

std::int64_t original_of_training(JsonFields& map, const Reading& reading) {
  const auto inner = map.integer(kOriginal, 1, kLongest);
  if (inner && reading.outer_original && inner != reading.outer_original) {
    map.problem(kOriginal, std::to_string(*inner) + " contradicts " + std::string(kOriginal) +
                               " outside the map, " + std::to_string(*reading.outer_original));
  }
  return inner.value_or(reading.outer_original.value_or(reading.max_position_embeddings));
}

// YaRN's temperature by a multiple of the logarithm, as transformers has it.
double amplitude_of(double factor, double scale) {
  return factor <= 1.0 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
}

// Our amplitude is a function of the factor; the other keys may only say the same.
void check_amplitude(JsonFields& map, double factor) {
  const auto given = map.number("attention_factor");
  const double scale = map.number("mscale").value_or(0.0);
  const double scale_all = map.number("mscale_all_dim").value_or(0.0);
  const double ours = amplitude_of(factor, 1.0);
  const bool from_scales = !given && scale != 0.0 && scale_all != 0.0;
  const double theirs = from_scales ? amplitude_of(factor, scale) / amplitude_of(factor, scale_all)
                                    : given.value_or(ours);
  if (std::abs(theirs - ours) <= kAmplitudeTolerance) return;
  map.problem(from_scales ? "mscale" : "attention_factor",
              "gives an attention factor of " + round_trip(theirs) +
                  "; Zebra's is always 0.1 ln(factor) + 1 = " + round_trip(ours));
}

void read_yarn(JsonFields& map, const Reading& reading, RopeScalingSection& scaling) {
  scaling.factor = factor_of(map);
  scaling.original_max_position_embeddings = original_of_training(map, reading);
  const auto turns = [&](const char* key, double otherwise) {
    const double value = map.number(key).value_or(0.0);
    return value == 0.0 ? otherwise : value;  // transformers takes 0 for absent
  };
  scaling.beta_fast = turns("beta_fast", RopeScalingSection().beta_fast);
  scaling.beta_slow = turns("beta_slow", RopeScalingSection().beta_slow);
  map.require_neutral(
      "truncate", {true},
      "Zebra rounds the ends of YaRN's ramp to whole pairs, as truncate: true does");
  check_amplitude(map, scaling.factor);
}

void read_llama3(JsonFields& map, const Reading& reading, RopeScalingSection& scaling) {
  scaling.factor = factor_of(map);
  scaling.original_max_position_embeddings = original_of_training(map, reading);
  // transformers has no values of its own for them.
  const auto turns = [&](const char* key) {
    const auto value = map.number_above(key, 0.0);
    if (!value && map.sound({key})) map.problem(key, "missing");
    return value.value_or(1.0);
  };
  scaling.low_freq_factor = turns("low_freq_factor");
  scaling.high_freq_factor = turns("high_freq_factor");
}

void read_type(JsonFields& map, const Reading& reading, RopeScalingSection& scaling) {
  const std::string type = type_of(map);
  if (type == "default") {
    map.require_neutral("factor", {1}, "the type is default, which scales nothing");
    map.ignore({kOriginal});
  } else if (type == "linear") {
    scaling.type = RopeScaling::linear;
    scaling.factor = factor_of(map);
    scaling.original_max_position_embeddings = map.integer(kOriginal, 1, kLongest);
  } else if (type == "dynamic") {
    scaling.type = RopeScaling::dynamic;
    scaling.factor = factor_of(map);
    scaling.original_max_position_embeddings = original_of_dynamic(map, reading);
  } else if (type == "yarn") {
    scaling.type = RopeScaling::yarn;
    read_yarn(map, reading, scaling);
  } else if (type == "llama3") {
    scaling.type = RopeScaling::llama3;
    read_llama3(map, reading, scaling);
  } else {
    map.ignore({"low_freq_factor", "high_freq_factor", kOriginal, "factor", "short_factor",
                "long_factor", "attention_factor"});
    map.problem(
        map.given("rope_type") ? "rope_type" : "type",
        "\"" + type + "\" scaling cannot be imported: Zebra has linear, dynamic, yarn and llama3");
  }
}

RopeScalingSection read_scaling(JsonFields& map, const Reading& reading) {
  RopeScalingSection scaling;
  read_type(map, reading, scaling);
  map.require_neutral("partial_rotary_factor", {1}, "Zebra rotates whole heads");
  map.ignore({"rope_theta"});
  if (reading.conventions.is_zebra) {
    const auto layers = map.text("layers");
    const auto named = value_named<ScaledLayers>(layers.value_or("all"));
    if (named) scaling.layers = *named;
    if (!named) map.problem("layers", "must be all or global, not \"" + *layers + "\"");
  }
  map.report_unknown();
  return scaling;
}

std::string in_words(const RopeScalingSection& scaling) {
  return name_of(scaling.type) + " by " + round_trip(scaling.factor);
}

// Adds what the map `name` says of an embedding of which other spellings were read before.
void add_spelling(JsonFields& fields, const std::string& name, JsonFields& map,
                  const Reading& reading, Spelled& rope) {
  const auto own_theta = map.number_above("rope_theta", 0.0);
  if (rope.theta && own_theta && rope.theta != own_theta) {
    map.problem("rope_theta", round_trip(*own_theta) + " contradicts the rope_theta of " +
                                  round_trip(*rope.theta) + " given before");
  }
  if (own_theta) rope.theta = own_theta;
  const auto own = read_scaling(map, reading);
  rope.sound = rope.sound && map.all_sound();
  if (rope.sound && rope.scaling && *rope.scaling != own) {
    fields.problem(name, "says " + in_words(own) + ", rope_scaling says " +
                             in_words(*rope.scaling) +
                             " (or other values differ); keep one of the two spellings");
  }
  rope.scaling = own;
}

// The map of that name, unless it is absent or says nothing.
std::optional<JsonFields> map_with_keys(JsonFields& fields, const char* name) {
  auto map = fields.map(name);
  if (map && map->empty()) map.reset();
  return map;
}

HuggingFaceRope read_common(JsonFields& fields, const Reading& reading) {
  const auto& conventions = reading.conventions;
  Spelled rope = {.theta = fields.number_above("rope_theta", 0.0), .scaling = {}, .sound = true};
  for (const char* spelling : {"rope_scaling", "rope_parameters"}) {
    if (auto map = map_with_keys(fields, spelling))
      add_spelling(fields, spelling, *map, reading, rope);
  }
  if (!rope.scaling && conventions.default_scaling && !fields.given("rope_parameters")) {
    rope.scaling = conventions.default_scaling;
    if (rope.theta && rope.theta != conventions.default_theta) {
      fields.problem(
          "rope_theta",
          round_trip(*rope.theta) +
              " is ignored by transformers where there are no rope_parameters (it takes " +
              round_trip(*conventions.default_theta) + " and " + in_words(*rope.scaling) +
              "); give them");
    }
  }
  if (!rope.theta && !conventions.default_theta && fields.sound({"rope_theta"}))
    fields.problem("rope_theta", "missing: the base of the rotary embedding's wavelengths");
  return {.theta = rope.theta.value_or(conventions.default_theta.value_or(1.0)),
          .local_theta = {},
          .scaling = rope.scaling.value_or(RopeScalingSection())};
}

// Both kinds of layers as one section has them: Zebra scales all alike, or global ones only.
HuggingFaceRope joined_kinds(JsonFields& fields, const Spelled& full, const Spelled& sliding,
                             double default_theta, const std::string& pattern) {
  const auto scaling_of = [](const Spelled& rope) {
    return rope.scaling.value_or(RopeScalingSection());
  };
  const auto theta_of = [&](const Spelled& rope) { return rope.theta.value_or(default_theta); };
  const bool has_global = pattern.find('G') != std::string::npos,
             has_local = pattern.find('L') != std::string::npos;
  const auto& first = has_global ? full : sliding;
  HuggingFaceRope rope = {
      .theta = theta_of(first), .local_theta = {}, .scaling = scaling_of(first)};
  if (!has_global || !has_local) return rope;
  if (theta_of(sliding) != rope.theta) rope.local_theta = theta_of(sliding);
  const auto local = scaling_of(sliding);
  if (local == rope.scaling) return rope;
  rope.scaling.layers = ScaledLayers::global;
  if (local.type != RopeScaling::none && full.sound && sliding.sound) {
    fields.problem("rope_parameters", "scales sliding layers (" + in_words(local) +
                                          ") and full ones (" + in_words(rope.scaling) +
                                          ") in different ways; Zebra scales all alike, or full "
                                          "ones only");
  }
  return rope;
}

// OLMo 3: a map for each kind of layer. The older spelling is for full layers alone, and its theta
// never reaches sliding ones (configuration_olmo3.py of transformers 5.24).
HuggingFaceRope read_by_kind(JsonFields& fields, const Reading& reading,
                             const std::string& pattern) {
  const double default_theta = reading.conventions.default_theta.value_or(1.0);
  Spelled full = {.theta = fields.number_above("rope_theta", 0.0), .scaling = {}, .sound = true};
  Spelled sliding;
  const auto common_theta = full.theta;
  if (auto map = map_with_keys(fields, "rope_scaling"))
    add_spelling(fields, "rope_scaling", *map, reading, full);
  if (auto both = fields.map("rope_parameters")) {
    for (const auto& [name, rope] :
         {std::pair(kFullAttention, &full), std::pair(kSlidingAttention, &sliding)}) {
      if (auto map = map_with_keys(*both, name)) add_spelling(*both, name, *map, reading, *rope);
    }
    both->report_unknown();
  }
  const bool has_local = pattern.find('L') != std::string::npos;
  if (has_local && common_theta && !sliding.theta && *common_theta != default_theta) {
    fields.problem("rope_theta", round_trip(*common_theta) +
                                     " does not reach sliding layers in transformers, which gives "
                                     "them " +
                                     round_trip(default_theta) +
                                     "; give rope_parameters.sliding_attention.rope_theta");
  }
  return joined_kinds(fields, full, sliding, default_theta, pattern);
}

}  // namespace

HuggingFaceRope read_huggingface_rope(JsonFields& fields, const RopeConventions& conventions,
                                      std::int64_t max_position_embeddings,
                                      const std::string& pattern) {
  const Reading reading = {conventions, max_position_embeddings,
                           fields.integer(kOriginal, 1, kLongest)};
  return conventions.is_by_kind ? read_by_kind(fields, reading, pattern)
                                : read_common(fields, reading);
}

}  // namespace zebra
