#include "ablation/sweep_keys.h"

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;

namespace {

/// What is reported about a key on line 5 of s.yaml, or "accepted".
std::string refusal(const std::string& key, const Value& value = {}) {
  Report report({"s.yaml"});
  const bool is_good = check_sweep_key({key, {"s.yaml", 5}, value}, report);
  try {
    report.throw_if_any();
  } catch (const InputError& error) {
    CHECK_FALSE(is_good);
    return error.what();
  }
  CHECK(is_good);
  return "accepted";
}

}  // namespace

TEST_CASE("Keys of run files are found by their dotted names") {
  REQUIRE(find_run_key("model.rope_scaling.factor") != nullptr);
  CHECK(find_run_key("model.rope_scaling.factor")->name == "factor");
  REQUIRE(find_run_key("model") != nullptr);
  CHECK(find_run_key("model")->type == KeyType::group);
  for (const char* none : {"", "model.", ".model", "model.windw", "model.window_size.x",
                           "data.train.path", "window_size"}) {
    CAPTURE(none);
    CHECK(find_run_key(none) == nullptr);
  }
}

TEST_CASE("A sweep may set every key with a value of its own, but for names") {
  CHECK(refusal("model.window_size") == "accepted");
  CHECK(refusal("model.rope_scaling.type") == "accepted");
  CHECK(refusal("data.train") == "accepted");
  CHECK(refusal("run.seed") == "accepted");
  for (const std::string key : {"run.dir", "run.name"}) {
    CHECK(refusal(key) == "s.yaml:5: " + key +
                              ": cannot be set: each arm's run is named, and put into `dir`, by "
                              "the sweep");
  }
}

TEST_CASE("An unknown key names the nearest one") {
  CHECK(refusal("model.windw_size") ==
        "s.yaml:5: model.windw_size: unknown key; did you mean window_size?");
  CHECK(refusal("model.rope_scaling.facto") ==
        "s.yaml:5: model.rope_scaling.facto: unknown key; did you mean factor?");
  CHECK(refusal("window_size") ==
        "s.yaml:5: window_size: unknown key; it belongs in model, as model.window_size");
  CHECK(refusal("model.sliding_window").find("write model.window_size") != std::string::npos);
  CHECK(refusal("x-model.window_size") == "s.yaml:5: x-model.window_size: is no key of a run file");
  CHECK(refusal("").find("unknown key") != std::string::npos);
}

TEST_CASE("A section names a key in it") {
  Value value;
  value.kind = Value::Kind::map;
  value.entries.push_back({"window_size", {"s.yaml", 6}, {}});
  CHECK(refusal("model", value) ==
        "s.yaml:5: model: is a section of run files; write the whole key with dots, such as "
        "model.window_size");
  CHECK(refusal("logging") ==
        "s.yaml:5: logging: is a section of run files; write the whole key with dots, such as "
        "logging.every_steps");
  CHECK(refusal("model.rope_scaling").find("such as model.rope_scaling.") != std::string::npos);
}
