#include "ablation/base_run.h"

#include "ablation/base_run_folder.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;

namespace {

Sweep sweep_of(const BaseRunFolder& folder, const std::string& lines) {
  Problems problems;
  Sweep sweep = read_sweep(folder.text(lines), "sweep.yaml", problems);
  problems.throw_if_any();
  return sweep;
}

std::string refusal_of_first_arm(const BaseRunFolder& folder, const std::string& lines) {
  const Sweep sweep = sweep_of(folder, lines);
  Problems problems;
  const auto combinations = combinations_of(sweep.grid, "1", problems);
  try {
    load_arm(sweep, combinations.at(0));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("The seed of the base is what its files give, in the end") {
  const BaseRunFolder folder;
  write_text(folder / "more.yaml", "run: {seed: 11}\n");
  Sweep sweep = sweep_of(folder, "axes: {model.window_size: [1, 2]}\n");
  Problems problems;
  CHECK(seed_of_base(read_base(sweep, problems)) == "4");
  sweep.base.push_back(folder / "more.yaml");
  CHECK(seed_of_base(read_base(sweep, problems)) == "11");
  CHECK(problems.empty());
  CHECK(seed_of_base(Value{}) == "1");
}

TEST_CASE("All base files that cannot be read are named") {
  const BaseRunFolder folder;
  Sweep sweep = sweep_of(folder, "axes: {model.window_size: [1, 2]}\n");
  write_text(folder / "bad.yaml", "run: {seed: [\n");
  sweep.base = {folder / "absent.yaml", folder / "bad.yaml"};
  Problems problems;
  read_base(sweep, problems);
  REQUIRE(problems.all().size() == 2);
  CHECK(problems.all()[0].find("absent.yaml") != std::string::npos);
  CHECK(problems.all()[1].find("bad.yaml:2: not valid YAML") != std::string::npos);
}

TEST_CASE("An arm's run has the base's keys, the settings, and a folder of its own") {
  const BaseRunFolder folder;
  const Sweep sweep = sweep_of(
      folder, "arms: {a: {model.window_size: 3, optimizer.betas: [0.8, 0.9], run.device: cpu}}\n");
  Problems problems;
  const RunFile config = load_arm(sweep, combinations_of(sweep.grid, "4", problems).at(0));
  CHECK(config.model.hidden_size == 48);
  CHECK(config.model.window_size == 3);
  CHECK(config.optimizer.betas == std::array<double, 2>{0.8, 0.9});
  CHECK(config.run.device == Device::cpu);
  CHECK(config.run.seed == 4);
  CHECK(config.run.name == "a_seed-4");
  CHECK(config.run.dir == folder / "out/arms/a_seed-4");
  CHECK(load_base(sweep).model.window_size == 7);
}

TEST_CASE("Problems of settings stand at their place in the sweep file") {
  const BaseRunFolder folder;
  CHECK(refusal_of_first_arm(folder, "axes:\n  model.window_size: [-1]\n") ==
        "sweep.yaml:5: model.window_size: must be at least 0, not -1");
  CHECK(refusal_of_first_arm(folder,
                             "arms:\n"
                             "  a:\n"
                             "    model.self_attn_type: 'fu=ll: x'\n"
                             "    train.max_steps: many\n") ==
        "sweep.yaml:6: model.self_attn_type: \"fu=ll: x\" is not one of mix, full, local\n"
        "sweep.yaml:7: train.max_steps: \"many\" is not an integer");
  const std::string of_base =
      refusal_of_first_arm(folder, "axes:\n  train.global_batch_size: [12, 13]\n");
  CHECK(of_base == "accepted");
}

TEST_CASE("Short forms beside a pattern in the base are refused once for each place") {
  std::string base = kBaseRun;
  base.replace(base.find("window_size: 7"), 14, "window_size: 7, attention_pattern: GLG");
  const BaseRunFolder folder(base);
  const auto problems_with = [&](const std::string& lines) {
    const Sweep sweep = sweep_of(folder, lines);
    Problems problems;
    check_base_pattern(read_base(sweep, problems), combinations_of(sweep.grid, "1", problems),
                       problems);
    return problems.all();
  };
  const auto found =
      problems_with("axes:\n  model.layer_group_size: [1, 2]\n  optimizer.lr: [1e-3, 2e-3]\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].find("sweep.yaml:5: model.layer_group_size: has no effect, because ") == 0);
  CHECK(found[0].find("base.yaml:2 gives model.attention_pattern") != std::string::npos);
  CHECK(
      problems_with("arms: {a: {model.attention_pattern: , model.layer_group_size: 2}}\n").empty());
  CHECK(problems_with("axes: {model.attention_pattern: [G, L]}\n").empty());
}
