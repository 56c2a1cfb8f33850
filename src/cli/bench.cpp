#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/system.h"
#include "bench/cache_read.h"
#include "bench/cost_by_length.h"
#include "bench/step_cost.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "cli/training_job.h"
#include "config/load.h"
#include "config/model_base.h"
#include "config/names.h"
#include "data/tokenizer.h"

namespace zebra {
namespace {

struct BenchOptions {
  RunFileOptions run_files;
  std::string preset, precision, device;
  std::optional<std::int64_t> window, cached_keys;
  std::vector<std::string> layouts = {"full", "mix:4", "local"};
  std::vector<std::string> lengths = {"1024", "2048", "4096", "8192"};
  CostOptions cost;
  StepMeasurementOptions step;
  bool sweeps = false;  // over lengths and layouts, or one step of a run file
  std::filesystem::path json, plot;
};

constexpr std::int64_t kDefaultVocabulary = 8192;
constexpr std::string_view kFiguresMark = "\"machine\"";  // in all files with figures

// What a run file must say, though a measurement does not need it.
constexpr const char* kRunWithoutData =
    "run: {dir: bench}\n"
    "data: {tokenizer: tokenizer.model, train: [{path: data}], sequence_length: 1}\n"
    "train: {max_steps: 1, global_batch_size: 1}\n";

constexpr const char* kDefaultModel =
    "model: {hidden_size: 256, intermediate_size: 704, num_hidden_layers: 6,\n"
    "        num_attention_heads: 8, num_key_value_heads: 4, window_size: 256}\n";

// The run file and what --set and the options for single keys say.
RunFileOptions run_files_of(const BenchOptions& options) {
  auto run_files = options.run_files;
  const auto set = [&](const std::string& text) { run_files.overrides.push_back(text); };
  if (options.window) {
    set("model.window_size=" + std::to_string(*options.window));
    set("model.window_schedule=");  // whose windows may be wider
  }
  if (!options.device.empty()) set("run.device=" + options.device);
  if (!options.precision.empty()) set("train.precision=" + options.precision);
  return run_files;
}

RunFile load(const BenchOptions& options) {
  const auto [files, overrides] = run_files_of(options);
  if (!files.empty()) {
    auto file = load_run_file({files.begin(), files.end()}, overrides);
    if (!file.model.vocab_size) file.model.vocab_size = Tokenizer(file.data.tokenizer).vocab_size();
    return file;
  }
  const std::string model =
      options.preset.empty() ? kDefaultModel : "model: {preset: " + options.preset + "}\n";
  auto file = parse_run_file(kRunWithoutData + model, "the model of zebra bench", overrides);
  if (!file.model.vocab_size) file.model.vocab_size = kDefaultVocabulary;
  return file;
}

void bench_cost_by_length(BenchOptions options) {
  const auto file = load(options);
  const auto config = resolve(file);
  Problems problems;
  const auto layouts =
      named_layouts(options.layouts, config.model, file.model.window_size.has_value(), problems);
  const auto lengths = sequence_lengths(options.lengths, problems);
  check_output_path(options.json, kFiguresMark, problems);
  check_output_path(options.plot, "<svg", problems);
  problems.throw_if_any();

  options.cost.precision = config.train.precision;
  options.cost.device = config.run.device;
  options.cost.deterministic = config.train.deterministic;
  options.cost.grad_clip = config.train.grad_clip;
  options.cost.optimizer = config.optimizer;
  const auto measurement = measure_cost(layouts, lengths, options.cost);
  std::cout << to_text(measurement);
  if (!options.json.empty()) write_json(options.json, to_json(measurement, config.model));
  if (!options.plot.empty()) run_python_script("plot_cost.py", {options.json, options.plot});
}

void bench_cache_read(const BenchOptions& options) {
  Problems problems;
  check_output_path(options.json, kFiguresMark, problems);
  problems.throw_if_any();
  const auto measurement =
      measure_cache_read(resolve(load(options)), *options.cached_keys, options.cost.repeats);
  std::cout << to_text(measurement);
  if (!options.json.empty()) write_json(options.json, to_json(measurement));
}

// The step that the run file describes, on all ranks of the job; the first one tells.
void bench_step(const BenchOptions& options) {
  as_rank_of_job([&](Job& job) {
    TrainingInputs inputs;
    job.together("reading the run file",
                 [&] { inputs = open_training_inputs(run_files_of(options), job); });
    job.set_timeout(inputs.config.parallel.first_step_timeout);
    const auto measurement =
        measure_step(inputs.config, *inputs.tokenizer, std::move(*inputs.data), job, options.step);
    job.finish();
    if (!job.is_first()) return;
    std::cout << to_text(measurement);
    if (!options.json.empty()) write_json(options.json, to_json(measurement));
  });
}

void run_bench(const BenchOptions& options) {
  if (options.cached_keys) return bench_cache_read(options);
  if (options.sweeps || options.run_files.files.empty()) return bench_cost_by_length(options);
  Problems problems;
  check_output_path(options.json, kFiguresMark, problems);
  check_output_path(options.step.profile, "\"schemaVersion\"", problems);
  problems.throw_if_any();
  bench_step(options);
}

void add_model_options(CLI::App& command, BenchOptions& options) {
  options.run_files.add_to(command);
  command
      .add_option("--preset", options.preset,
                  "Shape of the model where no run file is given; default: 6 layers of width 256")
      ->check(CLI::IsMember(preset_names()))
      ->excludes(command.get_option("RUN.yaml"));
  add_number(command, "--window", &options.window, at_least(0),
             "Previous tokens that a local layer sees");
  command.add_option("--precision", options.precision, "Default: the run file's, or fp32")
      ->check(CLI::IsMember(names_of<Precision>()));
  command.add_option("--device", options.device, "Default: the run file's, or auto")
      ->check(CLI::IsMember(names_of<Device>()));
}

void add_step_options(CLI::App& command, BenchOptions& options) {
  add_number(command, "--steps", &options.step.steps, at_least(1),
             "Of a run file's step: steps that count, and as many again by part");
  add_number(command, "--warm-up", &options.step.warm_up, at_least(1),
             "Of a run file's step: steps that do not");
  command
      .add_option("--profile", options.step.profile,
                  "Of a run file's step: write a trace of three more steps, for ui.perfetto.dev")
      ->type_name("FILE.json");
}

void add_sweep_options(CLI::App& command, BenchOptions& options) {
  command
      .add_option("--layouts", options.layouts,
                  "full, local, mix:L (every L-th layer is global), or letters: GLLL")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAME,NAME,…")
      ->default_str(list_default(options.layouts));
  command.add_option("--lengths", options.lengths, "Lengths of a sequence, in tokens")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("N,N,…")
      ->default_str(list_default(options.lengths));
  add_number(command, "--tokens", &options.cost.tokens, at_least(1),
             "Tokens of a training pass, where shorter sequences fit into it several times; "
             "default: one sequence");
  add_number(command, "--new-tokens", &options.cost.generated_tokens, between(2, 1 << 20),
             "Tokens to generate behind each prompt");
  add_number(command, "--cached-keys", &options.cached_keys, between(1, 1 << 24),
             "Instead: one token's attention to so many cached keys, beside a copy of as much "
             "memory")
      ->excludes(command.get_option("--layouts"))
      ->excludes(command.get_option("--lengths"));
  add_number(command, "--repeats", &options.cost.repeats, between(3, 1000),
             "Rounds that count; medians are reported");
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure a run file's training step by part, or, with --layouts or --lengths or without a "
      "run file, what layouts of layers cost by length beside what their FLOPs predict");
  const auto options = std::make_shared<BenchOptions>();
  add_model_options(*command, *options);
  add_step_options(*command, *options);
  add_sweep_options(*command, *options);
  auto* json = command->add_option("--json", options->json, "Write the figures to this file too")
                   ->type_name("FILE");
  command->add_option("--plot", options->plot, "Draw them: measured against predicted")
      ->type_name("FILE.svg")
      ->needs(json)
      ->excludes(command->get_option("--cached-keys"));
  command->footer(
      "Examples: zebra bench run.yaml --precision bf16 --profile trace.json\n"
      "          zebra bench --lengths 64,128 --layouts full,mix:4\n"
      "          zebra bench --preset zebra-tiny --lengths 128 --json cost.json\n"
      "          zebra bench --cached-keys 32768 --precision bf16");
  command->callback([options, command] {
    options->sweeps = command->count("--lengths") + command->count("--layouts") > 0;
    run_bench(*options);
  });
}

}  // namespace zebra
