#include "config/resolve.h"
#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

const std::string kShared = "parallel.context=3";

}  // namespace

TEST_CASE("A sequence is cut into equal chunks, two for each rank that shares it") {
  CHECK_THAT(refusal_with({kShared}),
             Contains("data.sequence_length: 33 cannot be cut into 2 x parallel.context = 6 equal "
                      "chunks; lengths that fit: 30, 36"));
  CHECK_THAT(refusal_with({"parallel.context=20"}), Contains("lengths that fit: 40"));
  CHECK(refusal_with({kShared, "data.sequence_length=42"}) == "accepted");
  CHECK_THAT(refusal_with({"parallel.context=0"}), Contains("must be at least 1"));
}

TEST_CASE("Chunks shorter than the window are refused with what fits") {
  CHECK_THAT(
      refusal_with({kShared, "data.sequence_length=36"}),
      Contains("parallel.context: chunks of 36 / (2 x 3) = 6 tokens are shorter than the window of "
               "7; what fits: parallel.context up to 2, data.sequence_length from 42 on, or "
               "model.window_size up to 6"));
  CHECK_THAT(refusal_with({kShared, "data.sequence_length=18"}),
             Contains("what fits: data.sequence_length from 42 on, or model.window_size up to 3"));
  CHECK(refusal_with({kShared, "data.sequence_length=36", "model.window_size=6"}) == "accepted");
  CHECK(refusal_with({kShared, "data.sequence_length=36", "model.self_attn_type=full"}) ==
        "accepted");
}

TEST_CASE("Groups of ranks share the batch") {
  const std::string length = "data.sequence_length=42";
  CHECK(config_with({kShared, length, "train.micro_batch_size=0"}, 6).train.micro_batch_size == 6);
  CHECK(config_with({kShared, length, "train.global_batch_size=2"}, 3).train.micro_batch_size == 2);
  CHECK_THAT(refusal_with({kShared, length}, 4),
             Contains("parallel.context: 3 does not divide the 4 ranks; give a divisor of them"));
  CHECK_THAT(refusal_with({kShared, length, "train.global_batch_size=3"}, 6),
             Contains("micro_batch_size x ranks / parallel.context (2 x 2 = 4); sizes that fit: 4, "
                      "8"));
  CHECK_THAT(
      refusal_with({kShared, length, "train.global_batch_size=1", "train.micro_batch_size=0"}, 6),
      Contains("2 groups of parallel.context ranks"));
}

TEST_CASE("What ranks that share sequences cannot do is refused") {
  const std::string length = "data.sequence_length=42";
  CHECK_THAT(refusal_with({kShared, length, "train.cuda_graph=true", "train.precision=bf16"}),
             Contains("train.cuda_graph: ranks that share sequences exchange keys"));
  CHECK_THAT(refusal_with({kShared, length, "model.rope_scaling.type=dynamic",
                           "model.rope_scaling.original_max_position_embeddings=32"}),
             Contains("model.rope_scaling.type: dynamic turns every sequence by its own length"));
}
