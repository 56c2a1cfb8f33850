#include "ablation/sweep.h"

#include "ablation/base_run_folder.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;
using Catch::Matchers::Contains;

using Names = std::vector<std::string>;

TEST_CASE("A sweep becomes arms in groups of seeds") {
  const BaseRunFolder folder;
  const Sweep sweep = folder.sweep(
      "axes: {model.layer_group_size: [1, 2], run.seed: [1, 2]}\n"
      "arms: {small: {data.sequence_length: 48}, large: {}}\n");
  CHECK(names_of_arms(sweep.arms) ==
        Names{"layer_group_size-1_small_seed-1", "layer_group_size-1_small_seed-2",
              "layer_group_size-1_large_seed-1", "layer_group_size-1_large_seed-2",
              "layer_group_size-2_small_seed-1", "layer_group_size-2_small_seed-2",
              "layer_group_size-2_large_seed-1", "layer_group_size-2_large_seed-2"});
  REQUIRE(sweep.arms.size() == 8);
  const Arm& arm = sweep.arms[5];
  CHECK(arm.group == "layer_group_size-2_small");
  CHECK(arm.seed == 2);
  CHECK(arm.config.run.seed == 2);
  CHECK(pattern_of(arm.config.model.layers) == "GLGL");
  CHECK(arm.config.data.sequence_length == 48);
  CHECK(arm.config.run.dir == folder / "out/arms/layer_group_size-2_small_seed-2");
  CHECK(arm.cost.tokens == 20 * 12 * 48);
  CHECK(sweep.file.probes.lengths == std::vector<std::int64_t>{64});
}

TEST_CASE("An arm without seeds has the base's") {
  const BaseRunFolder folder;
  const auto arms = folder.arms("axes: {model.window_size: [8, 16]}\n");
  CHECK(names_of_arms(arms) == Names{"window_size-8_seed-4", "window_size-16_seed-4"});
  CHECK(arms.at(0).seed == 4);
}

TEST_CASE("A file is read, and a missing one refused") {
  const BaseRunFolder folder;
  write_text(folder / "s.yaml", folder.text("axes: {model.window_size: [8, 16]}\n"));
  CHECK(load_sweep(folder / "s.yaml", BaseRunFolder::vocabulary).arms.size() == 2);
  CHECK_THROWS_AS(load_sweep(folder / "absent.yaml", BaseRunFolder::vocabulary), InputError);
}

TEST_CASE("Bands are the file's, or those of the widest and deepest arm with local layers") {
  const BaseRunFolder folder;
  const auto bands = [&](const std::string& lines) {
    const DistanceBands found = folder.sweep(lines).bands;
    return std::pair(found.window, found.layers);
  };
  const std::string arms =
      "arms:\n"
      "  wide: {model.window_size: 9}\n"
      "  deep: {model.num_hidden_layers: 5, model.window_size: 8}\n"
      "  full: {model.self_attn_type: full, model.window_size: 30, model.num_hidden_layers: 6}\n";
  CHECK(bands(arms) == std::pair<std::int64_t, std::int64_t>(9, 5));
  CHECK(bands(arms + "compare: {window: 3}\n") == std::pair<std::int64_t, std::int64_t>(3, 5));
  CHECK(bands(arms + "compare: {window: 3, layers: 2}\n") ==
        std::pair<std::int64_t, std::int64_t>(3, 2));
  const std::string full =
      "axes: {model.self_attn_type: [full], model.num_hidden_layers: [3, 4]}\n";
  CHECK(bands(full) == std::pair<std::int64_t, std::int64_t>(7, 4));
  std::string base = kBaseRun;
  base.replace(base.find(", window_size: 7"), 16, "");
  CHECK(BaseRunFolder(base).refusal(full) ==
        "compare.window: missing, and no arm has a window to take it from; give compare: {window: "
        "W, layers: n}, the bands of distance by which recall is told apart");
}

TEST_CASE("The others are contrasted with the file's group, or with the first of global layers") {
  const BaseRunFolder folder;
  const std::string arms =
      "arms: {mixed: {}, full: {model.self_attn_type: full}, local: {model.self_attn_type: "
      "local}}\n";
  CHECK(folder.sweep(arms).file.contrast == "full");
  CHECK(folder.sweep(arms + "contrast: local\n").file.contrast == "local");
  CHECK(folder.sweep("axes: {model.window_size: [3, 5]}\n").file.contrast == "window_size-3");
  CHECK(folder.refusal(arms + "contrast: ful\n") ==
        "contrast: there is no group ful; the groups are mixed, full, local");
}

TEST_CASE("Budgets refer to the base run, not to the first arm") {
  const BaseRunFolder folder;
  const auto arms = folder.arms(
      "axes: {model.self_attn_type: [full, local]}\n"
      "budget: flops\n");
  // 20 steps x 186084 FLOPs of GLLL, over 200448 of GGGG and 181296 of LLLL: see
  // below.
  CHECK(arms.at(0).config.train.max_steps == 19);
  CHECK(arms.at(1).config.train.max_steps == 21);
  CHECK(arms.at(1).cost.steps == 21);
  CHECK(arms.at(1).cost.tokens == 21 * 768);
  CHECK(arms.at(1).cost.flops == Approx(3.0 * 181296 * 21 * 768).epsilon(1e-12));

  const auto by_tokens = folder.arms("axes: {data.sequence_length: [128]}\nbudget: tokens\n");
  CHECK(by_tokens.at(0).config.train.max_steps == 10);
  CHECK(by_tokens.at(0).config.schedule.warmup_steps == 2);
}

TEST_CASE("Parameters are made equal before FLOPs are") {
  const BaseRunFolder folder;
  const auto arms = folder.arms(
      "axes: {model.num_hidden_layers: [2]}\n"
      "equal_parameters: true\n"
      "budget: flops\n");
  CHECK(arms.at(0).config.model.intermediate_size == 224);
  CHECK(arms.at(0).cost.parameters == 92976 - 192);
  // GL of 224 inside: 36864 + 129024 + 6240 + 1452 + 9600 = 183180 FLOPs; 20 x 186084 / 183180.
  CHECK(arms.at(0).cost.flops_per_token == Approx(3.0 * 183180).epsilon(1e-12));
  CHECK(arms.at(0).config.train.max_steps == 20);
}

TEST_CASE("The vocabulary is asked for, per arm") {
  std::string base = kBaseRun;
  base.replace(base.find("vocab_size: 100, "), 17, "");
  const BaseRunFolder folder(base);
  const auto vocabulary = [](const RunFile& file) {
    return file.data.tokenizer.filename() == "big.model" ? std::int64_t{1000} : 100;
  };
  const auto arms = parse_sweep(folder.text("axes: {data.tokenizer: [tok.model, big.model]}\n"),
                                "sweep.yaml", vocabulary)
                        .arms;
  CHECK(arms.at(0).cost.parameters == 92976);
  CHECK(arms.at(1).cost.parameters == 92976 + 2 * 900 * 48);
  const auto unknown = [](const RunFile&) -> std::int64_t { throw InputError("no tokenizer"); };
  CHECK_THROWS_WITH(
      parse_sweep(folder.text("axes: {model.window_size: [1, 2]}\n"), "sweep.yaml", unknown),
      "arm window_size-1_seed-4: no tokenizer (and 1 more arm)");
  const auto only_big = [](const RunFile& file) -> std::int64_t {
    if (file.data.tokenizer.filename() != "big.model") throw InputError("no tokenizer");
    return 1000;
  };
  CHECK_THROWS_WITH(parse_sweep(folder.text("axes: {data.tokenizer: [big.model]}\nbudget: flops\n"),
                                "sweep.yaml", only_big),
                    "the base run, which budget and equal_parameters refer to: no tokenizer");
}

TEST_CASE("Probes join the training data of every arm") {
  const BaseRunFolder folder;
  const auto arms = folder.arms(
      "zip: {data.sequence_length: [64, 128], model.window_size: [8, 16]}\n"
      "probes: {training_share: 0.75}\n");
  REQUIRE(arms.at(1).config.data.train.size() == 2);
  CHECK(arms[1].config.data.train[0].weight.value() == Approx(0.25));
  CHECK(arms[1].config.data.train[1].weight.value() == Approx(0.75));
  CHECK(arms[0].config.data.train[1].path == folder / "out/data/probes-64");
  CHECK(arms[1].config.data.train[1].path == folder / "out/data/probes-128");
  CHECK(folder.arms("axes: {model.window_size: [1, 2]}\n").at(0).config.data.train.size() == 1);
}

TEST_CASE("Probes that cannot be are refused") {
  const BaseRunFolder folder;
  CHECK(folder.refusal("axes: {data.train: [[{path: a}, {path: b}]]}\n"
                       "probes: {training_share: 0.5}\n") ==
        "arm train-a-b_seed-4: data.train: several sources without a weight, beside which probes "
        "cannot be given their probes.training_share; give each of them a weight");
  CHECK(folder.refusal(
            "axes: {data.sequence_length: [14, 15, 64]}\n"
            "probes: {training_share: 0.5, tasks: [variable_tracking], lengths: [17]}\n") ==
        "arm sequence_length-14_seed-4: probes.training_tasks: a sequence of 14 tokens has no room "
        "for variable_tracking: give a length of 19 or more, or leave the task out\n"
        "arm sequence_length-15_seed-4: probes.training_tasks: a sequence of 15 tokens has no room "
        "for variable_tracking: give a length of 19 or more, or leave the task out\n"
        "probes.lengths: a sequence of 17 tokens has no room for variable_tracking: give a length "
        "of 19 or more, or leave the task out");
  CHECK_THAT(folder.refusal("axes: {data.tokenizer: [a, b]}\nprobes: {training_share: 0.5}\n"),
             Contains("training probes are tokens of one tokenizer, but the arms have 2"));
  CHECK(folder.refusal("axes: {data.tokenizer: [a, b]}\n") == "accepted");
}

TEST_CASE("Arms that are the same run are refused") {
  const BaseRunFolder folder;
  const std::string ending =
      " are the same run: they differ in nothing that has an effect; keep one of them, and leave "
      "the others out with exclude";
  CHECK(folder.refusal("arms:\n"
                       "  one: {model.layer_group_size: 1}\n"
                       "  full: {model.self_attn_type: full}\n"
                       "  two: {model.layer_group_size: 2}\n"
                       "axes: {run.seed: [1, 2, 3]}\n") ==
        "arms one_seed-1 and full_seed-1" + ending);
  // Where no layer is local there is no window.
  const std::string grid =
      "axes: {model.layer_group_size: [1, 2], model.window_size: [8, 16, 24]}\n";
  CHECK(folder.refusal(grid) ==
        "arms layer_group_size-1_window_size-8_seed-4, layer_group_size-1_window_size-16_seed-4 "
        "and layer_group_size-1_window_size-24_seed-4" +
            ending);
  CHECK(folder.refusal(grid + "exclude: [{model.layer_group_size: 1, model.window_size: [16, "
                              "24]}]\n") == "accepted");
  CHECK_THAT(folder.refusal("axes: {model.self_attn_type: [local], model.global_rope_theta: [1e4, "
                            "1e6]}\n"),
             Contains("are the same run"));
  CHECK_THAT(folder.refusal("axes: {model.self_attn_type: [full], model.attention_sink: [true, "
                            "false]}\n"),
             Contains("are the same run"));
  CHECK(folder.refusal("axes: {model.attention_sink: [true, false]}\n") == "accepted");
}

TEST_CASE("Problems of run files name the arm, the same problem once") {
  const BaseRunFolder folder;
  CHECK(folder.refusal("axes:\n"
                       "  model.layer_group_size: [1, 2]\n"
                       "  train.global_batch_size: [12, 13, 15]\n"
                       "  model.num_hidden_layers: [0, 4]\n") ==
        "arm layer_group_size-1_global_batch_size-12_num_hidden_layers-0_seed-4: sweep.yaml:7: "
        "model.num_hidden_layers: must be from 1 to 65536, not 0 (and 5 more arms)\n"
        "arm layer_group_size-1_global_batch_size-13_num_hidden_layers-0_seed-4: sweep.yaml:6: "
        "train.global_batch_size: 13 is not a multiple of micro_batch_size x ranks (2 x 1 = 2); "
        "sizes that fit: 12, 14, 16 (and 3 more arms)\n"
        "arm layer_group_size-1_global_batch_size-15_num_hidden_layers-0_seed-4: sweep.yaml:6: "
        "train.global_batch_size: 15 is not a multiple of micro_batch_size x ranks (2 x 1 = 2); "
        "sizes that fit: 14, 16, 18 (and 3 more arms)");
  const BaseRunFolder broken("run: {seed: 1}\n");
  CHECK_THAT(broken.refusal("axes: {model.window_size: [1, 2]}\n"),
             Contains("arm window_size-1_seed-1: FOLDER/base.yaml:1: model.hidden_size: missing") ||
                 Contains("arm window_size-1_seed-1: FOLDER/base.yaml: train.max_steps: missing, "
                          "and it has no default; give it, or train.max_tokens (and 1 more arm)"));
}

TEST_CASE("Problems of the file and of its arms are told together") {
  const BaseRunFolder folder;
  CHECK(folder.refusal("axes:\n"
                       "  model.window_size: [8, -3]\n"
                       "exclude: [{model.window_size: 9}]\n"
                       "probes: {itms: 3}\n") ==
        "sweep.yaml:7: probes.itms: unknown key; did you mean items?\n"
        "sweep.yaml:6: exclude[0]: matches no combination of the axes; correct it, or remove it\n"
        "arm window_size--3_seed-4: sweep.yaml:5: model.window_size: must be at least 0, not -3");
  CHECK(folder.refusal("axes: {model.windw_size: [8]}\nbudgets: flops\n") ==
        "sweep.yaml:4: model.windw_size: unknown key; did you mean window_size?\n"
        "sweep.yaml:5: budgets: unknown key; did you mean budget?");
}

TEST_CASE("A base that is not there, or does not suit a budget, is refused") {
  const BaseRunFolder folder;
  CHECK_THAT(folder.refusal_of_text("name: x\ndir: d\nbase: " + (folder / "no.yaml").string() +
                                    "\naxes: {model.window_size: [1, 2]}\n"),
             Contains("base: FOLDER/no.yaml"));
  std::string base = kBaseRun;
  base.replace(base.find(", window_size: 7"), 16, "");
  const BaseRunFolder without_window(base);
  const std::string axes = "axes: {model.window_size: [1, 2]}\n";
  CHECK(without_window.refusal(axes) == "accepted");
  CHECK_THAT(without_window.refusal(axes + "budget: tokens\n"),
             Contains("the base run, which budget and equal_parameters refer to: "
                      "FOLDER/base.yaml:2: model.window_size: missing"));
}

TEST_CASE("An arm that cannot have the base's parameters is refused by name") {
  const BaseRunFolder folder;
  CHECK_THAT(folder.refusal("axes: {model.num_hidden_layers: [4, 9]}\nequal_parameters: true\n"),
             Contains("arm num_hidden_layers-9_seed-4: equal_parameters: has 103,824 parameters"));
}

TEST_CASE("A pattern in the base that makes an axis idle is refused") {
  std::string base = kBaseRun;
  base.replace(base.find("window_size: 7"), 14, "window_size: 7, attention_pattern: GLG");
  CHECK_THAT(BaseRunFolder(base).refusal("axes: {model.layer_group_size: [2, 3]}\n"),
             Contains("sweep.yaml:4: model.layer_group_size: has no effect, because "
                      "FOLDER/base.yaml:2 gives model.attention_pattern") &&
                 Contains("are the same run"));
}

TEST_CASE("The only source gets what the probes leave") {
  DataSection data;
  data.train = {{"a", std::nullopt}};
  add_training_probes(data, "p", 0.75);
  REQUIRE(data.train.size() == 2);
  CHECK(data.train[0].path == "a");
  CHECK(data.train[0].weight.value() == Approx(0.25));
  CHECK(data.train[1].path == "p");
  CHECK(data.train[1].weight.value() == Approx(0.75));
}

TEST_CASE("Weights are scaled and keep their proportion") {
  DataSection data;
  data.train = {{"a", 6.0}, {"b", 2.0}};
  add_training_probes(data, "p", 0.2);
  REQUIRE(data.train.size() == 3);
  CHECK(data.train[0].weight.value() == Approx(0.6));
  CHECK(data.train[1].weight.value() == Approx(0.2));
  CHECK(data.train[2].weight.value() == Approx(0.2));
}

TEST_CASE("Stages of data are refused beside training probes") {
  DataSection data;
  data.train = {{"a", std::nullopt}};
  data.stages = {{{0.5, 0}, {{{"b", std::nullopt}}}}};
  CHECK_THROWS_WITH(add_training_probes(data, "p", 0.2), Contains("data.stages: "));
}

TEST_CASE("Several sources without weights are refused") {
  DataSection data;
  data.train = {{"a", std::nullopt}, {"b", std::nullopt}};
  CHECK_THROWS_WITH(add_training_probes(data, "p", 0.2), Contains("give each of them a weight"));
}
