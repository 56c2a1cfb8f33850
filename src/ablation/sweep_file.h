#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ablation/axes.h"
#include "ablation/ladder.h"
#include "base/error.h"
#include "data/recall_probes.h"

namespace zebra {

/// What the arms have in common: as many steps as their run files say, or as many tokens, or as
/// many training FLOPs, as the base run.
enum class Budget { steps, tokens, flops };

template <>
struct EnumNames<Budget> {
  static constexpr NameTable<Budget, 3> kTable{
      {{Budget::steps, "steps"}, {Budget::tokens, "tokens"}, {Budget::flops, "flops"}}};
};

/// By which bands of distance the report sorts answers: the sweep's, for all groups; or those of a
/// group's own window and local layers (of the sweep where it has none).
enum class BandChoice { common, own };

template <>
struct EnumNames<BandChoice> {
  static constexpr NameTable<BandChoice, 2> kTable{
      {{BandChoice::common, "common"}, {BandChoice::own, "own"}}};
};

/// Bands of distance that questions are drawn in, as far as the sweep file gives them.
struct BandOptions {
  std::optional<std::int64_t> window, layers;
};

/// Those of the recall measurements, the same for all arms.
struct CompareOptions : BandOptions {
  BandChoice bands = BandChoice::common;
};

struct ProbeOptions {
  double training_share = 0.0;  ///< of the training samples, in [0, 1)
  /// Of the loss weights of the training targets, in (0, 1); nothing: each target counts the same.
  std::optional<double> training_loss_share;
  std::int64_t training_sequences = 20000;
  std::vector<ProbeTask> tasks;           ///< in the file or all of them
  std::vector<ProbeTask> training_tasks;  ///< in the file or `tasks`
  BandOptions training_bands;             ///< what is missing is as it is measured
  std::int64_t items = 256;               ///< questions of each task and length
  std::vector<std::int64_t> lengths;      ///< tokens, ascending; empty when the file gives none
  ProbeVocabularySizes vocabulary;
  std::int64_t questions = 0;             ///< see ProbeSpec
  std::vector<std::int64_t> pairs, hops;  ///< see difficulties_of
  std::int64_t seed = 1;
};

/// A sweep file (docs/ablations.md) as it is written; what its arms are is in sweep.h.
struct SweepFile {
  std::string name;
  std::filesystem::path dir;      ///< absolute
  std::vector<std::string> base;  ///< run files as they are written; later ones win
  Grid grid;
  LadderOptions ladder;
  Budget budget = Budget::steps;
  bool equal_parameters = false;
  CompareOptions compare;
  std::string contrast;  ///< the group that the others are compared with; empty: see Sweep
  ProbeOptions probes;
  std::vector<std::int64_t> cost_lengths;  ///< tokens; empty: no measured cost
};

/// Reads the text of a sweep file, which messages call `source`. What is wrong goes to `problems`,
/// each with file and line, and stays at its default: the grid has axes, and there are base files,
/// only where nothing is wrong with them.
SweepFile read_sweep_file(const std::string& yaml, const std::string& source, Problems& problems);

}  // namespace zebra
