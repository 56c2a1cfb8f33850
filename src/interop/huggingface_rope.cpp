#include "interop/huggingface_rope.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/names.h"

namespace zebra {
namespace {

constexpr const char* kOriginal = "original_max_position_embeddings";
constexpr double kAmplitudeTolerance = 1e-6;

struct Reading {
  const RopeConventions& conventions;
  std::int64_t max_position_embeddings;
  std::optional<std::int64_t> outer_original;  // beside the map, as Phi-3 has it
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

std::int64_t original_of_yarn(JsonFields& map, const Reading& reading) {
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
  scaling.original_max_position_embeddings = original_of_yarn(map, reading);
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
  } else if (type == "llama3" && factor_of(map) == 1.0) {
    map.ignore({"low_freq_factor", "high_freq_factor", kOriginal});  // scales by nothing
  } else {
    map.ignore({"low_freq_factor", "high_freq_factor", kOriginal, "factor", "short_factor",
                "long_factor", "attention_factor"});
    map.problem(map.given("rope_type") ? "rope_type" : "type",
                "\"" + type + "\" scaling cannot be imported: Zebra has linear, dynamic and yarn");
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

}  // namespace

HuggingFaceRope read_huggingface_rope(JsonFields& fields, const RopeConventions& conventions,
                                      std::int64_t max_position_embeddings) {
  const Reading reading = {conventions, max_position_embeddings,
                           fields.integer(kOriginal, 1, kLongest)};
  HuggingFaceRope rope;
  std::optional<double> theta = fields.number_above("rope_theta", 0.0);
  std::optional<RopeScalingSection> scaling;
  bool sound = true;
  for (const char* spelling : {"rope_scaling", "rope_parameters"}) {
    auto map = fields.map(spelling);
    if (!map || map->empty()) continue;  // {} counts as absent
    const auto own_theta = map->number_above("rope_theta", 0.0);
    if (theta && own_theta && theta != own_theta) {
      map->problem("rope_theta", round_trip(*own_theta) + " contradicts the rope_theta of " +
                                     round_trip(*theta) + " given before");
    }
    if (own_theta) theta = own_theta;
    const auto own = read_scaling(*map, reading);
    sound = sound && map->all_sound();
    if (sound && scaling && *scaling != own) {
      fields.problem(spelling, "says " + in_words(own) + ", rope_scaling says " +
                                   in_words(*scaling) +
                                   " (or other values differ); keep one of the two spellings");
    }
    scaling = own;
  }
  if (!scaling && conventions.must_be_given) {
    fields.problem("rope_parameters",
                   "missing: transformers then supposes llama3 scaling, which Zebra does not have; "
                   "give the rope_parameters that the model was trained with");
  }
  if (!theta && !conventions.default_theta && fields.sound({"rope_theta"}))
    fields.problem("rope_theta", "missing: the base of the rotary embedding's wavelengths");
  rope.theta = theta.value_or(conventions.default_theta.value_or(1.0));
  rope.scaling = scaling.value_or(RopeScalingSection());
  return rope;
}

}  // namespace zebra
