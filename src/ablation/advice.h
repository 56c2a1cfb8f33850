#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "ablation/sweep.h"

namespace zebra {

/// What someone asks a ladder: which layout, which size, how many tokens?
struct AdviceQuestion {
  std::int64_t context = 0;           ///< tokens at which the model will work
  double flops = 0;                   ///< that its training may take
  std::optional<std::int64_t> cache;  ///< bytes that the keys and values of a sequence may take
};

/// The question with what the closed forms of the plan say of every layout and size of the ladder
/// at that context: the answer needs them between and beyond those sizes.
nlohmann::ordered_json question_json(const Sweep& sweep, const AdviceQuestion& question);

/// Prints the answer of scripts/ablation_advice.py, from the results so far: a table, or JSON.
/// Throws InputError where the sweep has no ladder or none of its arms has finished, RunError where
/// the script fails, for instance because there are too few results to fit.
void advise(const Sweep& sweep, const AdviceQuestion& question, bool as_json);

}  // namespace zebra
