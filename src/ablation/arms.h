#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ablation/arm_budget.h"
#include "ablation/sweep_file.h"
#include "config/config.h"
#include "data/distance_bands.h"

namespace zebra {

/// One run of a sweep.
struct Arm {
  std::string name;   ///< "GROUP_seed-N", of letters, digits, ".", "_" and "-"; unique
  std::string group;  ///< shared by the arms that differ in nothing but their seed
  std::int64_t seed = 0;
  std::vector<Setting> settings;  ///< in the order of the axes, a seed last
  Config config;                  ///< resolved; run.dir is DIR/arms/NAME
  ArmCost cost;
};

/// A sweep and its arms, the seeds of a group one after another. What the sweep file leaves to the
/// arms is filled: the probes' lengths (the longest data.sequence_length).
struct Ablation {
  Sweep sweep;
  std::vector<Arm> arms;
  /// The same for all arms: as the file gives them, or the largest window_size and
  /// num_hidden_layers of the arms with local layers (of all arms where there are none).
  DistanceBands bands = {0, 0};
};

/// The number of pieces of a run's tokenizer. May throw InputError.
using VocabularySize = std::function<std::int64_t(const RunFile&)>;

/// Reads a sweep file and forms its arms. Throws one InputError with every problem: those of the
/// file, each with its line; arms that are the same run; and those of the arms' run files, each
/// with the arm's name, once where several arms have the same.
Ablation load_ablation(const std::filesystem::path& file, const VocabularySize& vocabulary);

/// The same from text; `source` stands for the file's name in messages.
Ablation parse_ablation(const std::string& yaml, const std::string& source,
                        const VocabularySize& vocabulary);

}  // namespace zebra
