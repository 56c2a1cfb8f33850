#include "train/training_state.h"

#include "base/error.h"

namespace zebra {

nlohmann::ordered_json TrainingState::to_json() const {
  nlohmann::ordered_json json = {{"step", step},
                                 {"optimizer_steps", optimizer_steps},
                                 {"tokens", tokens},
                                 {"seconds", seconds},
                                 {"recent_norms", skip.recent_norms},
                                 {"skipped_steps", skip.skipped_steps},
                                 {"consecutive_non_finite", skip.consecutive_non_finite},
                                 {"dataset_fingerprints", dataset_fingerprints}};
  if (validation_loss) json["validation_loss"] = *validation_loss;
  return json;
}

TrainingState TrainingState::from_json(const nlohmann::ordered_json& json) {
  try {
    TrainingState state;
    state.step = json.at("step").get<std::int64_t>();
    state.optimizer_steps = json.at("optimizer_steps").get<std::int64_t>();
    state.tokens = json.at("tokens").get<std::int64_t>();
    state.seconds = json.at("seconds").get<double>();
    state.skip.recent_norms = json.at("recent_norms").get<std::deque<double>>();
    state.skip.skipped_steps = json.at("skipped_steps").get<std::int64_t>();
    state.skip.consecutive_non_finite = json.at("consecutive_non_finite").get<std::int64_t>();
    state.dataset_fingerprints = json.at("dataset_fingerprints").get<std::vector<std::string>>();
    if (json.contains("validation_loss"))
      state.validation_loss = json.at("validation_loss").get<double>();
    return state;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(std::string("the checkpoint holds no training state to go on from: ") +
                     error.what());
  }
}

}  // namespace zebra
