#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ablation/sweep_file.h"
#include "base/error.h"
#include "config/config.h"
#include "data/distance_bands.h"

// The words of this folder, of docs/ablations.md and of the reports:
//
//   arm       one training run, told apart from the base run by its settings
//   group     the arms that differ in nothing but their seed: one row of the report
//   axis      alternatives of which each arm has one: the values of a key, or named settings
//   sweep     what a sweep file describes: a base run, axes, how to compare; and all of its arms
//   study     a sweep that is run for the sake of a question (configs/ablations), and its answer
//   ablation  the kind of experiment, after which the folder and the command are named

namespace zebra {

/// What a run costs by the closed forms of plan/model_cost.h.
struct ArmCost {
  std::int64_t parameters = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;     ///< of all steps together
  double flops_per_token = 0;  ///< of training, on average: three times the forward pass
  double flops = 0;            ///< of all tokens together
};

struct Arm {
  std::string name;   ///< "GROUP_seed-N", of letters, digits, ".", "_" and "-"; unique
  std::string group;  ///< shared by the arms that differ in nothing but their seed
  std::int64_t seed = 0;
  std::vector<Setting> settings;  ///< in the order of the axes, a seed last
  Config config;                  ///< run.dir is DIR/arms/NAME
  ArmCost cost;
  std::optional<LadderPoint> ladder;

  /// What the report calls it by where it compares layouts: of a ladder the layout, at whatever
  /// size.
  const std::string& compared_as() const { return ladder ? ladder->layout : group; }
};

struct Sweep {
  /// What it leaves to the arms is filled: the probes' lengths (the longest data.sequence_length),
  /// and the group to contrast the others with (the first of global layers only, or the first).
  SweepFile file;
  std::vector<Arm> arms;  ///< the seeds of a group one after another
  /// The same for all arms: as the file gives them, or the largest window_size and
  /// num_hidden_layers of the arms with local layers (of all arms where there are none).
  DistanceBands bands = {0, 0};
};

/// The number of pieces of a run's tokenizer. May throw InputError.
using VocabularySize = std::function<std::int64_t(const RunFile&)>;

/// Reads a sweep file and forms its arms. Throws one InputError with every problem: those of the
/// file, each with its line; arms that are the same run; and those of the arms' run files, each
/// with the arm's name, once where several arms have the same.
Sweep load_sweep(const std::filesystem::path& file, const VocabularySize& vocabulary);

/// The same from text; `source` stands for the file's name in messages.
Sweep parse_sweep(const std::string& yaml, const std::string& source,
                  const VocabularySize& vocabulary);

// What parse_sweep does to each arm.

ArmCost arm_cost(const Config& config);

/// Sets model.intermediate_size to the multiple of 8 that brings the number of parameters nearest
/// to `parameters`; leaves it as it is where they are equal already. Throws InputError when even
/// the smallest size is too large for that.
void match_parameters(Config& config, std::int64_t parameters);

/// Sets train.max_steps, and the warm-ups and the decay in proportion. There must be steps before.
void set_steps(Config& config, std::int64_t steps);

/// Sets train.max_steps so that the run reads as many tokens, or spends as many training FLOPs, as
/// `base` does (to the nearest step, at least one), with its warm-ups, its decay and the stages of
/// its window and its data in proportion (whose rounding may cost FLOPs of another step).
/// Leaves the run as it is for Budget::steps.
void match_budget(Config& config, Budget budget, const ArmCost& base);

/// Appends the dataset at `path` to data.train so that it gives `share` (in (0, 1)) of the training
/// samples; the other sources share the rest as they did. Throws InputError when several of them
/// have no weight (their sizes would decide, and those are not in a run file), and for data.stages.
void add_training_probes(DataSection& data, const std::filesystem::path& path, double share);

/// What is wrong with the arms of a sweep: a problem that several arms have is said once.
class ArmProblems {
 public:
  /// `message` is that of an InputError: one problem per line.
  void add(const std::string& arm, const std::string& message);

  bool empty() const { return found_.empty(); }

  /// "arm NAME: PROBLEM (and 5 more arms)", in the order of their first appearance.
  void add_to(Problems& problems) const;

 private:
  struct Found {
    std::string problem, first_arm;
    std::size_t arms = 0;
  };
  std::vector<Found> found_;
};

}  // namespace zebra
