#include "ablation/sweep_file.h"

#include "support/catch.h"

using namespace zebra;

namespace {

const std::string kSmallSweep =
    "name: odd\n"
    "dir: some/out/\n"
    "base: b.yaml\n"
    "axes: {model.window_size: [8, 16]}\n";

struct ReadSweep {
  SweepFile sweep;
  std::string refusal;
};

ReadSweep sweep_file_of(const std::string& yaml) {
  Problems problems;
  ReadSweep result;
  result.sweep = read_sweep_file(yaml, "s.yaml", problems);
  result.refusal = problems.empty() ? "accepted" : join(problems.all(), "\n");
  return result;
}

std::string refusal_with(const std::string& lines) {
  return sweep_file_of(kSmallSweep + lines).refusal;
}

}  // namespace

TEST_CASE("A sweep file of four lines has defaults for everything else") {
  const auto [sweep, refusal] = sweep_file_of(kSmallSweep);
  REQUIRE(refusal == "accepted");
  CHECK(sweep.name == "odd");
  CHECK(sweep.dir == std::filesystem::current_path() / "some/out");
  CHECK(sweep.base == std::vector<std::string>{"b.yaml"});
  CHECK(sweep.grid.axes.size() == 1);
  CHECK(sweep.budget == Budget::steps);
  CHECK_FALSE(sweep.equal_parameters);
  CHECK_FALSE(sweep.compare.window.has_value());
  CHECK(sweep.compare.bands == BandChoice::common);
  CHECK(sweep.probes.training_share == 0.0);
  CHECK_FALSE(sweep.probes.training_loss_share.has_value());
  CHECK(sweep.probes.training_sequences == 20000);
  CHECK(sweep.probes.tasks.size() == 4);
  CHECK(sweep.probes.training_tasks == sweep.probes.tasks);
  CHECK(sweep.probes.items == 256);
  CHECK(sweep.probes.lengths.empty());
  CHECK(sweep.probes.vocabulary.keys == 32);
  CHECK(sweep.probes.vocabulary.values == 32);
  CHECK(sweep.probes.seed == 1);
  CHECK(sweep.cost_lengths.empty());
}

TEST_CASE("Every key of a sweep file is read") {
  const auto [sweep, refusal] = sweep_file_of(
      "x-anchors: &values [8, 16]\n"
      "name: odd\n"
      "dir: /abs/out\n"
      "base: [a.yaml, b.yaml]\n"
      "axes: {model.window_size: *values}\n"
      "budget: flops\n"
      "equal_parameters: true\n"
      "compare: {window: 16, layers: 6, bands: own}\n"
      "contrast: full\n"
      "probes: {training_share: 0.75, training_loss_share: 0.25, training_sequences: 100, "
      "tasks: [passkey, copying], training_tasks: [copying], training_bands: {layers: 3}, items: "
      "9, lengths: [512, 256], keys: "
      "10, values: 9, "
      "pairs: [4, 8], hops: [1], seed: 5}\n"
      "cost_lengths: [128, 64]\n");
  REQUIRE(refusal == "accepted");
  CHECK(sweep.dir == "/abs/out");
  CHECK(sweep.base == std::vector<std::string>{"a.yaml", "b.yaml"});
  CHECK(sweep.grid.axes.at(0).values.size() == 2);
  CHECK(sweep.budget == Budget::flops);
  CHECK(sweep.equal_parameters);
  CHECK(sweep.compare.window == 16);
  CHECK(sweep.compare.layers == 6);
  CHECK(sweep.compare.bands == BandChoice::own);
  CHECK(sweep.probes.training_share == 0.75);
  CHECK(sweep.probes.training_loss_share == 0.25);
  CHECK(sweep.probes.training_sequences == 100);
  CHECK(sweep.probes.tasks == std::vector<ProbeTask>{ProbeTask::passkey, ProbeTask::copying});
  CHECK(sweep.probes.training_tasks == std::vector<ProbeTask>{ProbeTask::copying});
  CHECK_FALSE(sweep.probes.training_bands.window.has_value());
  CHECK(sweep.probes.training_bands.layers == 3);
  CHECK(sweep.probes.items == 9);
  CHECK(sweep.probes.lengths == std::vector<std::int64_t>{256, 512});
  CHECK(sweep.probes.vocabulary.keys == 10);
  CHECK(sweep.probes.vocabulary.values == 9);
  CHECK(sweep.probes.pairs == std::vector<std::int64_t>{4, 8});
  CHECK(sweep.probes.hops == std::vector<std::int64_t>{1});
  CHECK(sweep.contrast == "full");
  CHECK(sweep.probes.seed == 5);
  CHECK(sweep.cost_lengths == std::vector<std::int64_t>{128, 64});
}

TEST_CASE("Probes are trained on as they are asked unless other tasks are named") {
  const auto [sweep, refusal] = sweep_file_of(kSmallSweep + "probes: {tasks: [copying]}\n");
  REQUIRE(refusal == "accepted");
  CHECK(sweep.probes.training_tasks == std::vector<ProbeTask>{ProbeTask::copying});
}

TEST_CASE("A share of the loss is for probes that are trained on") {
  CHECK(refusal_with("probes: {training_share: 0.1, training_loss_share: 0.5}\n") == "accepted");
  CHECK(refusal_with("probes: {training_loss_share: 0.5}\n") ==
        "s.yaml:5: probes.training_loss_share: probes are no part of the training: give "
        "probes.training_share, their share of the samples, as well");
  CHECK(refusal_with("probes: {training_share: 0.1, training_loss_share: 1}\n") ==
        "s.yaml:5: probes.training_loss_share: must be greater than 0, below 1, not 1");
}

TEST_CASE("All problems of a sweep file are told at once, with their lines") {
  const auto [sweep, refusal] = sweep_file_of(
      "nam: odd\n"
      "base: b.yaml\n"
      "axes: {model.windw_size: [8, 16]}\n"
      "budget: flop\n"
      "equal_parameters: 1\n"
      "compare: {window: 0, layer: 6}\n"
      "probes: {training_share: 1, tasks: [passkeys], lengths: 256, keys: 8, itms: 3}\n"
      "exlude: []\n");
  CHECK(refusal ==
        "s.yaml: dir: missing, and it has no default; give it, the folder that receives "
        "everything it writes\n"
        "s.yaml:1: nam: unknown key; did you mean name?\n"
        "s.yaml:3: model.windw_size: unknown key; did you mean window_size?\n"
        "s.yaml:4: budget: \"flop\" is not one of steps, tokens, flops; did you mean flops?\n"
        "s.yaml:5: equal_parameters: \"1\" is not true or false\n"
        "s.yaml:6: compare.layer: unknown key; did you mean layers?\n"
        "s.yaml:6: compare.window: must be at least 1, not 0\n"
        "s.yaml:7: probes.itms: unknown key; did you mean items?\n"
        "s.yaml:7: probes.training_share: must be at least 0, below 1, not 1\n"
        "s.yaml:7: probes.tasks: \"passkeys\" is not one of associative_recall, passkey, copying, "
        "variable_tracking; did you mean passkey?\n"
        "s.yaml:7: probes.lengths: must be a list with at least one value\n"
        "s.yaml:7: probes.keys: must be at least 9, not 8\n"
        "s.yaml:8: exlude: unknown key; did you mean exclude?");
  CHECK(sweep.grid.axes.empty());
  CHECK(sweep.base.size() == 1);
}

TEST_CASE("Values of a sweep file are read as those of a run file are") {
  const auto of_items = [](const std::string& value) {
    const auto [sweep, refusal] = sweep_file_of(kSmallSweep + "probes: {items: " + value + "}\n");
    return refusal == "accepted" ? std::to_string(sweep.probes.items) : refusal.substr(10);
  };
  CHECK(of_items("+5") == "5");
  CHECK(of_items("2e4") == "20000");
  CHECK(of_items("2.5") == "probes.items: \"2.5\" is not an integer");
  CHECK(of_items("x") == "probes.items: \"x\" is not an integer");
  CHECK(of_items("[1]") == "probes.items: must be an integer, not a list");
  CHECK(of_items("") == "probes.items: has no value; give one, or remove the key");
  CHECK(of_items("'${ZEBRA_TEST_UNSET}'").find("ZEBRA_TEST_UNSET is not set") != std::string::npos);

  const auto [large, refusal] =
      sweep_file_of(kSmallSweep + "probes: {seed: 9007199254740993}\ncost_lengths: [+64]\n");
  CHECK(refusal == "accepted");
  CHECK(large.probes.seed == 9007199254740993);  // 2^53 + 1
  CHECK(large.cost_lengths == std::vector<std::int64_t>{64});
  CHECK(refusal_with("probes: {seed: 9223372036854775808}\n") ==
        "s.yaml:5: probes.seed: \"9223372036854775808\" is not an integer");
  CHECK(refusal_with("probes: {lengths: [3, 0]}\n") ==
        "s.yaml:5: probes.lengths: must be at least 1, not 0");
  CHECK(refusal_with("probes: 3\n") == "s.yaml:5: probes: must be a map of keys, not \"3\"");
}

TEST_CASE("An unknown key of a sweep file names the key that was meant") {
  CHECK(refusal_with("items: 3\n") ==
        "s.yaml:5: items: unknown key; it belongs in probes, as probes.items");
  CHECK(refusal_with("probes: {budget: flops}\n") ==
        "s.yaml:5: probes.budget: unknown key; budget belongs at the top level");
  CHECK(refusal_with("zzzzzzzz: 3\n") ==
        "s.yaml:5: zzzzzzzz: unknown key; keys: name, dir, base, axes, zip, arms, exclude, ladder, "
        "budget, "
        "equal_parameters, compare, contrast, probes, cost_lengths");
  CHECK(refusal_with("probes: {x-k: 3}\n").find("s.yaml:5: probes.x-k: unknown key; ") == 0);
}

TEST_CASE("A budget decides the steps, equal parameters the width inside: no axis may") {
  const std::string arms = "arms: {a: {train.max_steps: 3}, b: {model.intermediate_size: 8}}\n";
  CHECK(refusal_with(arms) == "accepted");
  for (const std::string budget : {"tokens", "flops"}) {
    CHECK(refusal_with(arms + "budget: " + budget) ==
          "s.yaml:5: arms: cannot set train.max_steps: budget: " + budget +
              " derives it for each arm; remove one of the two");
  }
  CHECK(refusal_with(arms + "equal_parameters: true") ==
        "s.yaml:5: arms: cannot set model.intermediate_size: equal_parameters derives it for each "
        "arm; remove one of the two");
}

TEST_CASE("What is no YAML, or not a map, is refused") {
  CHECK(sweep_file_of("name: [").refusal.find("s.yaml:1: not valid YAML") == 0);
  CHECK(sweep_file_of("[1]").refusal.find("s.yaml:1: ") == 0);
  CHECK(sweep_file_of("").refusal.find("s.yaml: name: missing") == 0);
  CHECK(sweep_file_of("base: []").refusal.find("base: must be a list with at least one value") !=
        std::string::npos);
}
