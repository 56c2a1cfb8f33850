#include "ablation/sweep_file.h"

#include <algorithm>

#include "config/read_fields.h"
#include "config/unknown_keys.h"
#include "config/yaml.h"

namespace zebra {

// The one declaration of every key of a sweep file, in the manner of config/fields.h.

template <class V>
void describe(V& v, CompareOptions& s) {
  const std::string largest = "the largest of the arms that have local layers";
  v.field("window", s.window, at_least(1).defaults_to(largest),
          "Window W of the bands of distance.");
  v.field("layers", s.layers, at_least(1).defaults_to(largest),
          "Layers n of the bands of distance.");
  v.field("bands", s.bands, anything(),
          "Whose bands the report sorts answers by: the sweep's, or each group's own.");
}

template <class V>
void describe(V& v, BandOptions& s) {
  v.field("window", s.window, at_least(1).defaults_to("that of `compare`"),
          "Window W of the bands that training questions are drawn in.");
  v.field("layers", s.layers, at_least(1).defaults_to("those of `compare`"),
          "Layers n of these bands.");
}

template <class V>
void describe(V& v, ProbeOptions& s) {
  constexpr double kMostProbes = 1e9;
  v.field("training_share", s.training_share, at_least(0).below(1),
          "Share of probes among the training samples.");
  v.field("training_loss_share", s.training_loss_share,
          above(0).below(1).defaults_to("what their targets are among all"),
          "Share of probes in the training loss, by a `loss_weight` that their targets get.");
  v.field("training_sequences", s.training_sequences, between(2, kMostProbes),
          "Sequences in a dataset of training probes.");
  v.field("tasks", s.tasks, anything().defaults_to("all"), "What recall is measured by.");
  v.field("training_tasks", s.training_tasks, anything().defaults_to("`tasks`"),
          "What training probes ask.");
  v.group("training_bands", s.training_bands, anything(), "Bands of distance of training probes.");
  v.field("items", s.items, between(1, kMostProbes), "Questions of each task and length.");
  v.field("lengths", s.lengths, at_least(1).defaults_to("the longest `data.sequence_length`"),
          "Tokens of the sequences in which recall is measured.");
  v.field("keys", s.vocabulary.keys, at_least(kFewestProbeKeys), "Tokens that are keys.");
  v.field("values", s.vocabulary.values, at_least(kFewestProbeValues), "Tokens that are values.");
  v.field("fillers", s.vocabulary.fillers, at_least(0), "Tokens that fill; 0 for all others.");
  v.field("questions", s.questions, at_least(0),
          "Questions in a sequence of associative recall; 0 for length / 8.");
  v.field("pairs", s.pairs, at_least(2).defaults_to("the task's own"),
          "Pairs, strings or chains of which one is asked for; several are asked each.");
  v.field("hops", s.hops, at_least(1).defaults_to("2"),
          "Hops of variable_tracking to a value; several are asked each.");
  v.field("seed", s.seed, at_least(0), "Decides which probes there are.");
}

template <class V>
void describe(V& v, LadderOptions& s) {
  v.other("sizes", anything(), "Sizes of the model: named settings.");
  v.field("tokens_per_parameter", s.tokens_per_parameter, above(0).defaults_to("none"),
          "Tokens of a run for each parameter of its model.");
  v.field("learning_rates", s.learning_rates, above(0).defaults_to("none"),
          "Values of optimizer.lr of which each layout and size gets its best.");
}

template <class V>
void describe(V& v, SweepFile& s) {
  v.field("name", s.name, anything().required("what the sweep is called"),
          "What the sweep is called.");
  v.field("dir", s.dir, anything().required("the folder that receives everything it writes"),
          "Folder that receives everything the sweep writes.");
  v.field("base", s.base, anything().required("the run file that the arms are variants of"),
          "Run file that the arms are variants of, or a list of them.");
  v.other("axes", anything(), "Alternatives of which each arm has one.");
  v.other("zip", anything(), "Keys whose values go together: one axis more.");
  v.other("arms", anything(), "Named settings: one axis more.");
  v.other("exclude", anything(), "Combinations to leave out.");
  v.group("ladder", s.ladder, anything(), "Sizes, lengths of training and learning rates.");
  v.field("budget", s.budget, anything(), "What the arms have in common with the base run.");
  v.field("equal_parameters", s.equal_parameters, anything(),
          "Whether the arms get as many parameters as the base.");
  v.group("compare", s.compare, anything(), "Bands of distance.");
  v.field("contrast", s.contrast, anything().defaults_to("the first group of global layers only"),
          "The group that the report compares the others with.");
  v.group("probes", s.probes, anything(), "Probes of recall.");
  v.field("cost_lengths", s.cost_lengths, at_least(1).defaults_to("none"),
          "Lengths at which each layout's cost is measured.");
}

namespace {

void fill_defaults(ProbeOptions& probes) {
  if (probes.tasks.empty()) {
    for (const auto& [task, name] : EnumNames<ProbeTask>::kTable) probes.tasks.push_back(task);
  }
  if (probes.training_tasks.empty()) probes.training_tasks = probes.tasks;
  std::sort(probes.lengths.begin(), probes.lengths.end());
}

/// A budget, or equal parameters, decide a key that an axis may not set as well.
void check_derived_keys(const SweepFile& file, Report& report) {
  const auto refuse = [&](const std::string& key, const std::string& reason) {
    for (const Axis& axis : file.grid.axes) {
      if (!axis.sets_key(key)) continue;
      report.locate(axis.path, axis.origin);
      report.problem(axis.path, "cannot set " + key + ": " + reason);
    }
  };
  if (file.budget != Budget::steps) {
    for (const std::string key : {"train.max_steps", "train.max_tokens"})
      refuse(key,
             "budget: " + name_of(file.budget) + " derives it for each arm; remove one of the two");
  }
  if (file.equal_parameters) {
    refuse("model.intermediate_size",
           "equal_parameters derives it for each arm; remove one of the two");
  }
}

void check_probe_shares(const ProbeOptions& probes, Report& report) {
  if (!probes.training_loss_share || probes.training_share > 0.0 ||
      !report.sound({"probes.training_share", "probes.training_loss_share"})) {
    return;
  }
  report.problem("probes.training_loss_share",
                 "probes are no part of the training: give probes.training_share, their share of "
                 "the samples, as well");
}

}  // namespace

SweepFile read_sweep_file(const std::string& yaml, const std::string& source, Problems& problems) {
  static const KeyInfo kKeys = keys_of<SweepFile>();
  SweepFile file;
  try {
    const Value root = parse_yaml(yaml, source);
    Report report({source});
    check_keys(root, report, kKeys);
    FieldReader reader(root, "", report);
    describe(reader, file);
    fill_defaults(file.probes);
    file.grid = read_grid(root, report);
    check_derived_keys(file, report);
    check_ladder(file, report);
    check_probe_shares(file.probes, report);
    report.throw_if_any();
  } catch (const InputError& error) {
    problems.add(error.what());
  }
  return file;
}

}  // namespace zebra
