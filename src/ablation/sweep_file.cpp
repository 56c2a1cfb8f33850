#include "ablation/sweep_file.h"

#include <algorithm>

#include "ablation/map_reader.h"
#include "base/file.h"
#include "config/read_yaml.h"
#include "config/report.h"

namespace zebra {
namespace {

constexpr double kMostProbes = 1e9;

void read_compare(MapReader reader, CompareOptions& compare) {
  const auto read_optional = [&](const std::string& name, std::optional<std::int64_t>& out) {
    std::int64_t value = 0;
    reader.read(name, value, at_least(1));
    if (value > 0) out = value;
  };
  read_optional("window", compare.window);
  read_optional("layers", compare.layers);
  reader.refuse_others();
}

void read_probes(MapReader reader, ProbeOptions& probes) {
  probes.tasks = {ProbeTask::associative_recall, ProbeTask::passkey, ProbeTask::copying,
                  ProbeTask::variable_tracking};
  reader.read("training_share", probes.training_share, from_to_below(0, 1));
  reader.read("training_sequences", probes.training_sequences, between(2, kMostProbes));
  reader.read("tasks", probes.tasks);
  probes.training_tasks = probes.tasks;
  reader.read("training_tasks", probes.training_tasks);
  reader.read("items", probes.items, between(1, kMostProbes));
  reader.read("lengths", probes.lengths, at_least(1));
  reader.read("keys", probes.vocabulary.keys, at_least(kFewestProbeKeys));
  reader.read("values", probes.vocabulary.values, at_least(2));
  reader.read("fillers", probes.vocabulary.fillers, at_least(0));
  reader.read("questions", probes.questions, at_least(0));
  reader.read("seed", probes.seed, at_least(0));
  reader.refuse_others();
  std::sort(probes.lengths.begin(), probes.lengths.end());
}

/// A budget, or equal parameters, decide a key that an axis may not set as well.
void check_derived_keys(const Sweep& sweep, Report& report) {
  const auto refuse = [&](const std::string& key, const std::string& reason) {
    for (const Axis& axis : sweep.grid.axes) {
      if (!sets_key(axis, key)) continue;
      report.locate(axis.path, axis.origin);
      report.problem(axis.path, "cannot set " + key + ": " + reason);
    }
  };
  if (sweep.budget != Budget::steps) {
    refuse("train.max_steps",
           "budget: " + name_of(sweep.budget) + " derives it for each arm; remove one of the two");
  }
  if (sweep.equal_parameters) {
    refuse("model.intermediate_size",
           "equal_parameters derives it for each arm; remove one of the two");
  }
}

Sweep read_root(const Value& root, Report& report) {
  Sweep sweep;
  MapReader reader(root, "", report);
  reader.require("name", "what the sweep is called");
  reader.require("dir", "the folder that receives everything the sweep writes");
  reader.require("base", "the run file (or a list of them) that the arms are variants of");
  reader.read("name", sweep.name);
  std::string dir;
  reader.read("dir", dir);
  if (!dir.empty()) {
    sweep.dir = folder_path(std::filesystem::absolute(dir).lexically_normal());
  }
  std::vector<std::string> files;
  reader.read("base", files);
  sweep.base.assign(files.begin(), files.end());
  for (const char* name : {"axes", "zip", "arms", "exclude"}) reader.find(name);
  sweep.grid = read_grid(root, report);
  reader.read("budget", sweep.budget);
  reader.read("equal_parameters", sweep.equal_parameters);
  read_compare(reader.section("compare"), sweep.compare);
  read_probes(reader.section("probes"), sweep.probes);
  reader.read("cost_lengths", sweep.cost_lengths, at_least(1));
  reader.refuse_others();
  check_derived_keys(sweep, report);
  return sweep;
}

}  // namespace

Sweep read_sweep(const std::string& yaml, const std::string& source, Problems& problems) {
  Sweep sweep;
  try {
    const Value root = parse_yaml(yaml, source);
    Report report({source});
    sweep = read_root(root, report);
    report.throw_if_any();
  } catch (const InputError& error) {
    problems.add(error.what());
  }
  return sweep;
}

std::filesystem::path probe_dataset_path(const Sweep& sweep, std::int64_t sequence_length) {
  return sweep.dir / "data" / ("probes-" + std::to_string(sequence_length));
}

}  // namespace zebra
