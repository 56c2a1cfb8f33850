#include "train/trainer.h"

#include <ATen/record_function.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "support/gpu.h"
#include "support/tensors.h"
#include "support/tiny_data.h"
#include "train/resume.h"

#ifdef ZEBRA_WITH_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace zebra {
namespace {

using namespace zebra::testing;

// One start of the command: resumes where the folder has a checkpoint.
TrainOutcome start(const Config& config, std::int64_t stop_after = 0,
                   const Trainer::StepObserver& on_step = {}) {
  const Tokenizer tokenizer(config.data.tokenizer);
  RunFolder folder(config.run.dir);
  folder.describe(config);
  Job job{Launch{}};
  auto datasets = open_run_datasets(config, tokenizer);
  const DataFingerprints data = {fingerprints_of(datasets.train),
                                 fingerprints_of(datasets.validation)};
  Trainer trainer(config, tokenizer,
                  TrainingData(config, std::move(datasets.train),
                               /*pinned=*/config.run.device == Device::cuda),
                  std::move(datasets.validation), folder, job);
  if (const auto newest = find_resume_point(config, "auto", job).checkpoint) {
    Checkpoint checkpoint(*newest);
    check_resumable(checkpoint, config, data);
    trainer.resume(checkpoint);
  }
  return trainer.run(stop_after, on_step);
}

// The rows of metrics.jsonl without what depends on the clock.
std::vector<std::string> timeless_rows(const Config& config) {
  std::istringstream lines(read_file(config.run.dir / "metrics.jsonl"));
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);) {
    auto row = nlohmann::json::parse(line);
    for (const auto* key : {"tokens_per_second", "seconds", "memory_gib", "checkpoint_seconds_lost",
                            "checkpoint_seconds", "data_share"})
      row.erase(key);
    rows.push_back(row.dump());
  }
  return rows;
}

double last_loss(const Config& config) {
  double loss = 0;
  for (const auto& text : timeless_rows(config)) {
    const auto row = nlohmann::json::parse(text);
    if (row.contains("loss")) loss = row["loss"].get<double>();
  }
  return loss;
}

std::string weights_hash(const Config& config, std::int64_t step) {
  const auto folder = checkpoint_folder(config.run.dir, step);
  return Manifest::from_text(read_file(folder / "manifest.json"), folder)
      .files.at("weights-00000.safetensors")
      .hash;
}

TEST_CASE("stopping and resuming anywhere gives the same bits") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const std::string precision = GENERATE(as<std::string>{}, "fp32", "bf16");
  const auto straight = tiny_run(
      folder, {"run.dir=" + folder.path().string() + "/straight", "train.precision=" + precision});
  REQUIRE(start(straight) == TrainOutcome::finished);
  REQUIRE(timeless_rows(straight).size() == 12 + 2);

  const auto broken = tiny_run(
      folder, {"run.dir=" + folder.path().string() + "/broken", "train.precision=" + precision});
  for (const std::int64_t stop : {1, 2, 6, 7})
    REQUIRE(start(broken, stop) == TrainOutcome::finished);
  REQUIRE(start(broken) == TrainOutcome::finished);
  REQUIRE(timeless_rows(broken) == timeless_rows(straight));
  REQUIRE(weights_hash(broken, 12) == weights_hash(straight, 12));
  REQUIRE(list_checkpoints(broken.run.dir).size() == 2);  // keep_last
}

TEST_CASE("stopping and resuming around the end of a stage gives the same bits") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto run = [&](const std::string& name, const std::string& schedule) {
    return tiny_run(folder, {"run.dir=" + folder.path().string() + "/" + name, schedule});
  };
  const std::string stages =
      "model.window_schedule=[{until: 0.5, window: 1}, {until: 0.75, window: 4}]";
  const auto straight = run("straight", stages), broken = run("broken", stages),
             by_steps = run("steps",
                            "model.window_schedule=[{until: 6, window: 1}, {until: 9, window: 4}]"),
             at_once = run("at-once", "model.window_schedule=");
  std::vector<std::int64_t> windows;
  REQUIRE(start(straight, 0, [&](const StepMetrics& step) {
            windows.push_back(step.window.value());
          }) == TrainOutcome::finished);
  REQUIRE(windows == std::vector<std::int64_t>{1, 1, 1, 1, 1, 1, 4, 4, 4, 7, 7, 7});
  for (const std::int64_t stop : {5, 6, 7, 9})
    REQUIRE(start(broken, stop) == TrainOutcome::finished);
  REQUIRE(start(broken) == TrainOutcome::finished);
  REQUIRE(start(by_steps) == TrainOutcome::finished);
  REQUIRE(start(at_once) == TrainOutcome::finished);
  const auto rows = timeless_rows(straight);
  REQUIRE(timeless_rows(broken) == rows);
  REQUIRE(timeless_rows(by_steps) == rows);
  REQUIRE(weights_hash(broken, 12) == weights_hash(straight, 12));
  REQUIRE(weights_hash(by_steps, 12) == weights_hash(straight, 12));
  REQUIRE(nlohmann::json::parse(rows.front())["window"] == 1);
  REQUIRE_FALSE(nlohmann::json::parse(timeless_rows(at_once).front()).contains("window"));
  REQUIRE(weights_hash(at_once, 12) != weights_hash(straight, 12));
  REQUIRE_THROWS_WITH(start(run("straight", "model.window_schedule=[{until: 0.5, window: 2}]")),
                      Catch::Matchers::Contains(
                          "changed since the checkpoint and must not: model.window_schedule"));
}

TEST_CASE("stopping and resuming around the end of a stage of the data gives the same bits") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const std::string at = folder.path().string();
  const auto run = [&](const std::string& name, const std::string& until) {
    return tiny_run(folder, {"run.dir=" + at + "/" + name,
                             "data.stages=[{until: " + until + ", train: [{path: " + at +
                                 "/valid, weight: 1}, {path: " + at + "/train, weight: 1}]}]"});
  };
  const auto straight = run("straight", "0.5"), broken = run("broken", "0.5"),
             by_steps = run("steps", "6");
  REQUIRE(start(straight) == TrainOutcome::finished);
  for (const std::int64_t stop : {5, 6, 7}) REQUIRE(start(broken, stop) == TrainOutcome::finished);
  REQUIRE(start(broken) == TrainOutcome::finished);
  REQUIRE(start(by_steps) == TrainOutcome::finished);
  REQUIRE(timeless_rows(broken) == timeless_rows(straight));
  REQUIRE(weights_hash(broken, 12) == weights_hash(straight, 12));
  REQUIRE(weights_hash(by_steps, 12) == weights_hash(straight, 12));
  REQUIRE_THROWS_WITH(
      start(run("straight", "0.75")),
      Catch::Matchers::Contains("changed since the checkpoint and must not: data.stages"));
}

TEST_CASE("stages whose windows are all window_size change nothing") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  std::vector<std::string> hashes;
  for (const std::string stages : {"", "[{until: 0.5, window: 7}]"}) {
    const auto config = tiny_run(
        folder, {"run.dir=" + folder.path().string() + "/r" + std::to_string(hashes.size()),
                 "model.window_schedule=" + stages, "eval.every_steps=0"});
    REQUIRE(start(config) == TrainOutcome::finished);
    hashes.push_back(weights_hash(config, 12));
  }
  REQUIRE(hashes[0] == hashes[1]);
}

TEST_CASE("micro-batches change nothing but rounding") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  std::vector<double> losses;
  for (const std::string size : {"1", "2", "4"}) {
    const auto config = tiny_run(folder, {"run.dir=" + folder.path().string() + "/micro" + size,
                                          "train.micro_batch_size=" + size});
    start(config);
    losses.push_back(last_loss(config));
  }
  REQUIRE(losses[1] == Approx(losses[0]).epsilon(1e-4));
  REQUIRE(losses[2] == Approx(losses[0]).epsilon(1e-4));
}

TEST_CASE("an observer hears of every step, logged or not") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config = tiny_run(folder, {"logging.every_steps=5"});
  std::vector<StepMetrics> steps;
  start(config, 0, [&](const StepMetrics& metrics) { steps.push_back(metrics); });
  REQUIRE(steps.size() == 12);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    REQUIRE(steps[i].step == static_cast<std::int64_t>(i) + 1);
    if (i > 0) REQUIRE(steps[i].seconds > steps[i - 1].seconds);
  }
  REQUIRE(steps.back().loss == last_loss(config));
}

TEST_CASE("the loss falls") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config = tiny_run(folder, {"train.max_steps=60"});
  start(config);
  const auto first = nlohmann::json::parse(timeless_rows(config).front())["loss"].get<double>();
  REQUIRE(first == Approx(std::log(300.0)).margin(0.3));
  REQUIRE(last_loss(config) < 0.6 * first);
}

TEST_CASE("three non-finite steps stop the run, with the last good state saved") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  auto config = tiny_run(folder, {"optimizer.lr=1.0e+30", "train.grad_clip=0", "train.max_steps=40",
                                  "eval.every_steps=0"});
  REQUIRE(start(config) == TrainOutcome::diverged);
  const auto status = nlohmann::json::parse(read_file(config.run.dir / "status.json"));
  REQUIRE(status["state"] == "failed");
  const auto newest = list_checkpoints(config.run.dir).back();
  REQUIRE(newest.step == status["step"].get<std::int64_t>());
  const auto rows = timeless_rows(config);
  REQUIRE(nlohmann::json::parse(rows.back())["skipped"] == true);
  REQUIRE(nlohmann::json::parse(rows.back())["grad_norm"].is_null());
  REQUIRE(start(config) == TrainOutcome::diverged);  // it has three tries again, not none
  REQUIRE(list_checkpoints(config.run.dir).back().step == newest.step + 3);
}

TEST_CASE("measured steps change no bit of a run, and say what a resumed run says") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto run = [&](const std::string& name, const std::string& every) {
    return tiny_run(folder, {"run.dir=" + folder.path().string() + "/" + name,
                             "logging.layers_every=" + every, "train.max_steps=40"});
  };
  const auto plain = run("plain", "0"), measured = run("measured", "3"),
             broken = run("broken", "3");
  REQUIRE(start(plain) == TrainOutcome::finished);
  REQUIRE(start(measured) == TrainOutcome::finished);
  for (const std::int64_t stop : {5, 6, 38}) REQUIRE(start(broken, stop) == TrainOutcome::finished);
  REQUIRE(start(broken) == TrainOutcome::finished);
  REQUIRE(timeless_rows(broken) == timeless_rows(measured));
  std::vector<std::string> rows;
  std::vector<std::int64_t> steps;
  for (const auto& text : timeless_rows(measured)) {
    const auto row = nlohmann::json::parse(text);
    if (!row.contains("layers")) {
      rows.push_back(text);
      continue;
    }
    steps.push_back(row["step"].get<std::int64_t>());
    REQUIRE(row["layers"]["attention_logit_upper"].size() == 3);
    for (const auto& ratio : row["layers"]["update_ratio"]) REQUIRE(ratio.get<double>() > 1e-5);
  }
  REQUIRE(rows == timeless_rows(plain));
  REQUIRE(steps == std::vector<std::int64_t>{3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 40});
  REQUIRE(nlohmann::json::parse(rows.back())["step"] == 40);
  REQUIRE(read_file(measured.run.dir / "metrics.jsonl").find("\"spike_score\"") !=
          std::string::npos);
  REQUIRE(weights_hash(measured, 40) == weights_hash(plain, 40));
  REQUIRE(weights_hash(broken, 40) == weights_hash(plain, 40));
}

TEST_CASE("a bound that is passed saves a checkpoint, or ends the run") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config =
      tiny_run(folder, {"logging.layers_every=2", "checkpoint.keep_last=9",
                        "train.alert=[{figure: grad_norm, above: 1.0e-6, do: checkpoint}, "
                        "{figure: activation_rms, above: 1.0e-6, do: stop}]"});
  REQUIRE(start(config) == TrainOutcome::alerted);
  const auto status = nlohmann::json::parse(read_file(config.run.dir / "status.json"));
  REQUIRE(status["state"] == "failed");
  REQUIRE(status["step"] == 2);
  std::vector<std::int64_t> saved;
  for (const auto& place : list_checkpoints(config.run.dir)) saved.push_back(place.step);
  REQUIRE(saved == std::vector<std::int64_t>{1, 2});

  auto calm = config;
  calm.train.alert.clear();
  REQUIRE(start(calm) == TrainOutcome::finished);
}

TEST_CASE(
    "a validation loss that is not finite stops the run, and does not keep it from going on") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config =
      tiny_run(folder, {"optimizer.lr=1.0e+12", "train.grad_clip=0", "eval.every_steps=1"});
  for (const std::int64_t step : {1, 2}) {  // the second start resumes from the first's checkpoint
    REQUIRE(start(config) == TrainOutcome::diverged);
    const auto status = nlohmann::json::parse(read_file(config.run.dir / "status.json"));
    REQUIRE(status["state"] == "failed");
    REQUIRE(status["reason"] == "diverged: the validation loss is not finite");
    REQUIRE(list_checkpoints(config.run.dir).back().step == step);
    REQUIRE(nlohmann::json::parse(timeless_rows(config).back())["validation_loss"].is_null());
  }
}

TEST_CASE("a step without a single target that counts does no update and is no divergence") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  // Completions so rare that most steps of one short window see none.
  std::string pairs;
  for (int i = 0; i < 4; ++i) {
    pairs += "{\"prompt\": \"";
    for (int word = 0; word < 400; ++word) pairs += "zebra stripe ";
    pairs += "\", \"completion\": \"x\"}\n";
  }
  write_text(folder / "pairs.jsonl", pairs);
  PackOptions options;
  options.input.inputs = {(folder / "pairs.jsonl").string()};
  options.tokenizer = folder / "tok.model";
  options.output = folder / "pairs";
  pack(options);
  auto config = tiny_run(folder, {"train.global_batch_size=1", "train.micro_batch_size=1"});
  config.data.train = {{folder / "pairs", std::nullopt}};
  REQUIRE(start(config) == TrainOutcome::finished);
  int empty = 0;
  for (const auto& text : timeless_rows(config))
    empty += nlohmann::json::parse(text).contains("skipped");
  REQUIRE(empty > 3);
}

TEST_CASE("between events the host asks no tensor for a value") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  static std::atomic<int> asked;
  asked = 0;
  const auto handle = at::addGlobalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& call) {
        const std::string_view name = call.name();
        if (name == "aten::_local_scalar_dense" || name == "aten::equal" || name == "aten::nonzero")
          ++asked;
        return std::unique_ptr<at::ObserverContext>();
      }).scopes({at::RecordScope::FUNCTION}));
  std::vector<int> asked_until;  // the end of each step
  start(tiny_run(folder, {"logging.every_steps=100", "eval.every_steps=100",
                          "checkpoint.every_steps=100", "train.max_steps=6"}),
        0, [&](const StepMetrics&) { asked_until.push_back(asked); });
  at::removeCallback(handle);
  REQUIRE(asked_until.size() == 6);
  REQUIRE(asked_until[4] == asked_until[0]);
}

#ifdef ZEBRA_WITH_CUDA
TEST_CASE("between events the host waits for no work of a GPU", "[.][cuda]") {
  require_gpu();
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const std::string graph = GENERATE("false", "true");
  auto& waits = c10::cuda::warning_state();
  start(tiny_run(folder, {"run.device=cuda", "model.hidden_size=128", "train.precision=bf16",
                          "train.cuda_graph=" + graph, "logging.every_steps=100",
                          "eval.every_steps=100", "checkpoint.every_steps=100"}),
        0, [&](const StepMetrics& metrics) {
          if (metrics.step == 4) waits.set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
          if (metrics.step == 10) waits.set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
        });
}

TEST_CASE("a CUDA graph changes no bit of a run", "[.][cuda]") {
  require_gpu();
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto rows = [&](const std::string& graph) {
    const auto config = tiny_run(
        folder, {"run.device=cuda", "model.hidden_size=128", "train.precision=bf16",
                 "train.activation_checkpointing=selective", "run.dir=" + (folder / graph).string(),
                 "train.cuda_graph=" + graph, "schedule.window_warmup_steps=6"});
    start(config);
    return timeless_rows(config);
  };
  REQUIRE(rows("true") == rows("false"));
}
#endif

TEST_CASE("a resumed run must be the same run") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  start(tiny_run(folder), 2);
  REQUIRE_THROWS_WITH(
      start(tiny_run(folder, {"optimizer.lr=1.0e-2", "model.window_size=8"})),
      Catch::Matchers::Contains("optimizer.lr") && Catch::Matchers::Contains("model.window_size"));
  Job job{Launch{}};
  REQUIRE_THROWS_AS(find_resume_point(tiny_run(folder), "never", job), InputError);
  std::filesystem::rename(folder / "train", folder / "old");
  std::filesystem::rename(folder / "valid", folder / "train");
  std::filesystem::rename(folder / "old", folder / "valid");
  REQUIRE_THROWS_WITH(start(tiny_run(folder)), Catch::Matchers::Contains("fingerprints"));
}

TEST_CASE("max_steps may grow, and a finished run ends at once") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto type = GENERATE(as<std::string>{}, "constant", "wsd", "cosine");
  start(tiny_run(folder, {"schedule.type=" + type}));
  REQUIRE(start(tiny_run(folder, {"schedule.type=" + type})) == TrainOutcome::finished);
  const auto longer = tiny_run(folder, {"schedule.type=" + type, "train.max_steps=15"});
  REQUIRE(start(longer) == TrainOutcome::finished);
  REQUIRE(list_checkpoints(longer.run.dir).back().step == 15);
}

}  // namespace
}  // namespace zebra
