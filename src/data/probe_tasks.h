#pragma once

#include "data/probe_draft.h"

namespace zebra {

/// What sets a task's sequences apart (see ProbeTask for their formats).
struct ProbeTaskRules {
  std::int64_t shortest_length;    ///< one of them beside the asked one finds room at any distance
  std::int64_t shortest_distance;  ///< where source and question adjoin
  /// The longest distance is the sequence's length less this: the source right after BOS and what
  /// belongs before it, the last blank right before EOS.
  std::int64_t beside_longest_distance;
  std::int64_t keys;         ///< that one pair, string or chain takes
  std::int64_t usual_pairs;  ///< where the difficulty does not say; 0: as many as have room
  void (*put)(ProbeDraft& draft);
};

ProbeTaskRules probe_task_rules(ProbeTask task, std::int64_t hops);

}  // namespace zebra
