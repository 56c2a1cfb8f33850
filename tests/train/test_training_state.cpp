#include "train/training_state.h"

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("the training state reads back to the bit") {
  TrainingState state;
  state.step = 123;
  state.optimizer_steps = 120;
  state.tokens = 1234567890123;
  state.seconds = 0.1 + 0.2;
  state.skip.recent_norms = {1.0 / 3.0, 2.5};
  state.skip.skipped_steps = 3;
  state.skip.consecutive_non_finite = 2;
  state.validation_loss = 2.0 / 3.0;
  state.dataset_fingerprints = {"a", "b"};
  const auto read = TrainingState::from_json(nlohmann::ordered_json::parse(state.to_json().dump()));
  REQUIRE(read.step == state.step);
  REQUIRE(read.optimizer_steps == state.optimizer_steps);
  REQUIRE(read.tokens == state.tokens);
  REQUIRE(read.seconds == state.seconds);
  REQUIRE(read.skip.recent_norms == state.skip.recent_norms);
  REQUIRE(read.skip.skipped_steps == 3);
  REQUIRE(read.skip.consecutive_non_finite == 2);
  REQUIRE(read.validation_loss == state.validation_loss);
  REQUIRE(read.dataset_fingerprints == state.dataset_fingerprints);
}

TEST_CASE("a checkpoint without training state is refused") {
  REQUIRE_THROWS_AS(TrainingState::from_json({{"step", 3}}), InputError);
}

}  // namespace
}  // namespace zebra
