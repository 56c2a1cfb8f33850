#include "plan/sharding_cost.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>

#include "base/error.h"
#include "plan/model_cost.h"
#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr Sharding kModes[] = {Sharding::none, Sharding::optimizer, Sharding::gradients,
                               Sharding::full};

ParallelSection parallel(Sharding sharding, std::int64_t replicas = 1,
                         Precision reduce_precision = Precision::fp32) {
  ParallelSection section;
  section.sharding = sharding;
  section.replicas = sharding == Sharding::none ? 1 : replicas;
  section.reduce_precision = reduce_precision;
  return section;
}

ShardedModel by_hand(Sharding sharding, std::int64_t shards, std::int64_t replicas, bool tied,
                     std::int64_t weight_bytes, std::int64_t reduced_bytes) {
  ShardedModel model;
  model.sharding = shards == 1 ? Sharding::none : sharding;
  model.shards = shards;
  model.replicas = replicas;
  model.tied = tied;
  model.weight_bytes = weight_bytes;
  model.reduced_bytes = reduced_bytes;
  // Sizes that differ, so that a wrong unit shows: the last one is the head's unless tied.
  for (const std::int64_t size : {9, 5, 7, 4, 6}) model.units.push_back(size * 64 * shards);
  if (!tied) model.units.push_back(11 * 64 * shards);
  return model;
}

/// Keeps the books of a step as a program that allocates and frees would: an account of bytes for
/// each buffer, and the largest sum ever.
class Ledger {
 public:
  explicit Ledger(const ShardedModel& model) : m_(model) {}

  std::int64_t peak_of_micro_batch() {
    std::vector<std::size_t> order(m_.units.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (m_.tied) order.push_back(0);
    forward(order);
    backward(order);
    return peak_;
  }

  double gathered = 0, scattered = 0;

 private:
  enum Kind { weights, gradients, copy, part_copy };

  void hold(Kind kind, std::size_t unit, std::int64_t bytes) {
    bytes_[{kind, unit}] = bytes;
    std::int64_t sum = 0;
    for (const auto& [key, value] : bytes_) sum += value;
    peak_ = std::max(peak_, sum);
  }
  void release(Kind kind, std::size_t unit) { bytes_.erase({kind, unit}); }

  void gather(std::size_t unit) {
    if (m_.sharding != Sharding::full || bytes_.count({weights, unit})) return;
    hold(weights, unit, m_.units[unit] * m_.weight_bytes);
    gathered += 1.0 * static_cast<double>((m_.shards - 1) * m_.units[unit] * m_.weight_bytes) /
                static_cast<double>(m_.shards);
  }

  void forward(const std::vector<std::size_t>& order) {
    for (std::size_t k = 0; k < order.size(); ++k) {
      gather(order[k]);
      if (k + 1 == order.size()) break;  // the head's weights stay
      gather(order[k + 1]);
      release(weights, order[k]);
    }
  }

  void backward(const std::vector<std::size_t>& order) {
    const bool splits = m_.sharding == Sharding::gradients || m_.sharding == Sharding::full;
    std::optional<std::size_t> pending;
    const auto finish = [&] {
      if (!pending) return;
      release(gradients, *pending);
      release(copy, *pending);
      if (m_.replicas > 1 && m_.reduced_bytes == 2)
        hold(part_copy, *pending, m_.units[*pending] / m_.shards * 2);
      pending.reset();
    };
    for (std::size_t k = order.size(); k-- > 0;) {
      const auto unit = order[k];
      if (k > 0) gather(unit);
      if (k > 1) gather(order[k - 1]);
      if (splits) hold(gradients, unit, m_.units[unit] * 4);
      release(weights, unit);
      if (std::count(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), unit)) continue;
      if (m_.shards > 1 && m_.reduced_bytes == 2) hold(copy, unit, m_.units[unit] * 2);
      scattered += static_cast<double>((m_.shards - 1) * m_.units[unit] * m_.reduced_bytes) /
                   static_cast<double>(m_.shards);
      finish();
      pending = unit;
    }
    finish();
  }

  const ShardedModel& m_;
  std::map<std::pair<Kind, std::size_t>, std::int64_t> bytes_;
  std::int64_t peak_ = 0;
};

TEST_CASE("the ranks of a replica are the job's divided by the replicas; one where none is split") {
  REQUIRE(ranks_per_replica(parallel(Sharding::none), 6) == 1);
  const auto sharding = GENERATE(Sharding::optimizer, Sharding::gradients, Sharding::full);
  REQUIRE(ranks_per_replica(parallel(sharding, 1), 6) == 6);
  REQUIRE(ranks_per_replica(parallel(sharding, 2), 6) == 3);
  REQUIRE(ranks_per_replica(parallel(sharding, 6), 6) == 1);
  REQUIRE(ranks_per_replica(parallel(sharding, 1), 1) == 1);
  REQUIRE_THROWS_AS(ranks_per_replica(parallel(sharding, 4), 6), InputError);
  REQUIRE_THROWS_WITH(ranks_per_replica(parallel(sharding, 4), 6),
                      Catch::Matchers::Contains("parallel.replicas: 4") &&
                          Catch::Matchers::Contains("the number of ranks, 6"));
}

TEST_CASE("what a step holds for a while, and gathers and scatters, is what a ledger says") {
  const auto mode = GENERATE(from_range(std::begin(kModes), std::end(kModes)));
  const auto [shards, replicas] =
      GENERATE(table<std::int64_t, std::int64_t>({{1, 1}, {1, 4}, {4, 1}, {4, 3}}));
  const bool tied = GENERATE(true, false);
  const std::int64_t weight_bytes = GENERATE(2, 4), reduced_bytes = GENERATE(2, 4);
  const auto model = by_hand(mode, shards, replicas, tied, weight_bytes, reduced_bytes);
  Ledger ledger(model);
  REQUIRE(memory_per_rank(model).transient() == ledger.peak_of_micro_batch());

  Traffic traffic = traffic_per_step(model, 1);
  if (model.publishes_weights()) {
    for (std::size_t unit = 0; unit < model.units.size(); ++unit)
      traffic.gathers -= gather_bytes(model, unit);
  }
  REQUIRE(traffic.gathers == Approx(ledger.gathered).margin(1e-6));
  REQUIRE(traffic.scatters == Approx(ledger.scattered));
}

std::string in_short(const Moment& moment) {
  std::ostringstream text;
  text << (moment.backward ? "backward" : "forward");
  if (moment.stage) text << " " << *moment.stage;
  for (const auto* units : {&moment.gathered, &moment.gradients, &moment.copies}) {
    text << " | ";
    for (const auto unit : *units) text << unit;
  }
  text << " |";
  if (moment.gathering) text << " gathers " << *moment.gathering;
  if (moment.reducing) text << " reduces " << *moment.reducing;
  return text.str();
}

TEST_CASE("the schedule of one block") {
  ShardedModel model;
  model.sharding = Sharding::full;
  model.shards = 2;
  model.units = {128, 128, 128};
  std::vector<std::string> moments;  // stage | weights | gradients | copies | on the wire
  for (const auto& moment : micro_batch_schedule(model, false)) moments.push_back(in_short(moment));
  REQUIRE(moments == std::vector<std::string>{
                         "forward | 0 |  |  | gathers 0",
                         "forward 0 | 01 |  |  | gathers 1",
                         "forward 1 | 12 |  |  | gathers 2",
                         "forward 2 | 2 |  |  |",
                         "backward 2 | 21 | 2 |  | gathers 1",
                         "backward | 1 | 2 | 2 |",
                         "backward 1 | 1 | 21 | 2 | reduces 2",
                         "backward |  | 21 | 21 |",
                         "backward 0 |  | 10 | 1 | reduces 1",
                         "backward |  | 10 | 10 |",
                         "backward |  | 0 | 0 | reduces 0",
                     });
}

TEST_CASE("the transient bytes of a small full sharding, by hand") {
  // fp32: embedding 20, three blocks of 10, head 30. The most is there when backward begins:
  // weights of the head and of the last block, gradients of the head. Later: 20 and 40, 20 and 20,
  // 0 and 30.
  ShardedModel model;
  model.sharding = Sharding::full;
  model.shards = 2;
  model.units = {20, 10, 10, 10, 30};
  const auto memory = memory_per_rank(model);
  REQUIRE(memory.gathered_weights == 4 * (30 + 10));
  REQUIRE(memory.gradients_in_flight == 4 * 30);
  REQUIRE(memory.reduction_copies == 0);
}

TEST_CASE("the state that stays, per parameter") {
  struct Row {
    Sharding sharding;
    Precision precision;
    double weights, gradients, masters, moments;  // bytes, for 8 shards
  };
  const Row row = GENERATE(Row{Sharding::none, Precision::bf16, 2, 4, 4, 8},
                           Row{Sharding::optimizer, Precision::bf16, 2, 4, 0.5, 1},
                           Row{Sharding::gradients, Precision::bf16, 2, 0.5, 0.5, 1},
                           Row{Sharding::full, Precision::bf16, 0.25, 0.5, 0.5, 1},
                           Row{Sharding::none, Precision::fp32, 4, 4, 0, 8},
                           Row{Sharding::optimizer, Precision::fp32, 4, 4, 0, 1},
                           Row{Sharding::gradients, Precision::fp32, 4, 0.5, 0, 1},
                           Row{Sharding::full, Precision::fp32, 0.5, 0.5, 0, 1});
  const auto section = llama_7b(4);  // padding is nothing beside it
  const auto parameters = static_cast<double>(count_parameters(section).total());
  const auto memory =
      memory_per_rank(shard_model(section, row.precision, parallel(row.sharding, 2), 16));
  REQUIRE(static_cast<double>(memory.weights) == Approx(row.weights * parameters));
  REQUIRE(static_cast<double>(memory.gradients) == Approx(row.gradients * parameters));
  REQUIRE(static_cast<double>(memory.masters) == Approx(row.masters * parameters));
  REQUIRE(static_cast<double>(memory.moments) == Approx(row.moments * parameters));
  REQUIRE(memory.total() == memory.weights + memory.gradients + memory.masters + memory.moments +
                                memory.gathered_weights + memory.gradients_in_flight +
                                memory.reduction_copies);
}

TEST_CASE("units are padded so that each parameter and each part starts at a multiple of 64") {
  auto section = small_model("GL");  // 24 wide, 53 rows, 4 + 2 + 2 heads of 6, feed-forward 40
  const auto up = [](std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; };
  const std::int64_t shards = GENERATE(1, 2, 5);
  const auto at = [&](std::int64_t n) { return up(n, 64); };
  const auto block =
      up(at(48 * 24) + at(24 * 24) + at(80 * 24) + at(24 * 40) + 64 + 64, 64 * shards);
  const auto table = up(at(53 * 24), 64 * shards), head = up(at(53 * 24) + 64, 64 * shards);
  const auto untied = shard_model(section, Precision::fp32, parallel(Sharding::full), shards);
  REQUIRE(untied.units == std::vector<std::int64_t>{table, block, block, head});
  section.tie_word_embeddings = true;
  const auto tied = shard_model(section, Precision::fp32, parallel(Sharding::full), shards);
  REQUIRE(tied.units == std::vector<std::int64_t>{head, block, block});
}

/// Bytes that one rank sends while `elements` go round a ring: chunk by chunk, as it is done.
std::int64_t sent_in_ring(std::int64_t ranks, std::int64_t elements, std::int64_t bytes,
                          std::int64_t rounds_per_pass) {
  std::vector<std::int64_t> sent(static_cast<std::size_t>(ranks), 0);
  for (std::int64_t round = 0; round < rounds_per_pass * (ranks - 1); ++round) {
    for (auto& rank : sent) rank += elements / ranks * bytes;  // its chunk, to the right
  }
  return sent.front();
}

TEST_CASE("each rank sends what goes through it in a ring") {
  const std::int64_t shards = GENERATE(2, 3, 8), replicas = GENERATE(1, 2, 4);
  const auto model = by_hand(Sharding::full, shards, replicas, false, 2, 4);
  for (std::size_t unit = 0; unit < model.units.size(); ++unit) {
    const auto size = model.units[unit];
    REQUIRE(gather_bytes(model, unit) == Approx(sent_in_ring(shards, size, 2, 1)));
    REQUIRE(scatter_bytes(model, unit) == Approx(sent_in_ring(shards, size, 4, 1)));
    REQUIRE(all_reduce_bytes(model, unit) ==
            Approx(sent_in_ring(replicas, size / shards, 4, 2)).margin(1e-9));
  }
}

TEST_CASE("the traffic of a step is the sum of its collectives") {
  const std::int64_t s = 4, r = 3, micro_batches = GENERATE(1, 5);
  const auto A = static_cast<double>(micro_batches);
  const bool tied = GENERATE(true, false);
  const auto traffic = [&](Sharding mode) {
    return traffic_per_step(by_hand(mode, s, r, tied, 2, 4), micro_batches);
  };
  const auto model = by_hand(Sharding::full, s, r, tied, 2, 4);
  const auto P = static_cast<double>(model.elements());
  double again = 0;  // what `full` gathers besides P: the blocks in backward, a tied head
  for (std::size_t unit = 1; unit <= 4; ++unit) again += static_cast<double>(model.units[unit]);
  if (tied) again += static_cast<double>(model.units[0]);
  const double share = 3.0 / 4.0, all_reduce = 2.0 * 2.0 / 3.0 * 4.0 * P / 4.0;

  const auto optimizer = traffic(Sharding::optimizer);
  REQUIRE(optimizer.gathers == Approx(share * 2 * P));
  REQUIRE(optimizer.scatters == Approx(share * 4 * P));
  REQUIRE(optimizer.all_reduces == Approx(all_reduce));
  const auto gradients = traffic(Sharding::gradients);
  REQUIRE(gradients.gathers == Approx(share * 2 * P));
  REQUIRE(gradients.scatters == Approx(A * share * 4 * P));
  REQUIRE(gradients.all_reduces == Approx(all_reduce));
  const auto full = traffic(Sharding::full);
  REQUIRE(full.gathers == Approx(A * share * 2 * (P + again)));
  REQUIRE(full.scatters == Approx(A * share * 4 * P));
  REQUIRE(full.all_reduces == Approx(all_reduce));
  REQUIRE(full.total() == full.gathers + full.scatters + full.all_reduces);
}

TEST_CASE("without a second shard every mode is none") {
  const auto section = small_model();
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  const auto reduce_precision = GENERATE(Precision::fp32, Precision::bf16);
  const std::int64_t ranks = GENERATE(1, 4);
  const auto none =
      shard_model(section, precision, parallel(Sharding::none, 1, reduce_precision), ranks);
  for (const auto mode : kModes) {
    const auto model =
        shard_model(section, precision, parallel(mode, ranks, reduce_precision), ranks);
    REQUIRE(model.sharding == Sharding::none);
    REQUIRE(memory_per_rank(model).total() == memory_per_rank(none).total());
    REQUIRE(traffic_per_step(model, 3).total() == traffic_per_step(none, 3).total());
  }
  if (ranks == 1) REQUIRE(traffic_per_step(none, 3).total() == 0.0);
  if (ranks == 1) REQUIRE(memory_per_rank(none).transient() == 0);
}

TEST_CASE("more shards need less memory, and a stricter mode less than a looser one") {
  const auto section = llama_7b(4);
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  const auto total = [&](Sharding mode, std::int64_t ranks) {
    return memory_per_rank(shard_model(section, precision, parallel(mode), ranks)).total();
  };
  for (const std::int64_t ranks : {2, 4, 8, 64}) {
    for (std::size_t mode = 1; mode < std::size(kModes); ++mode) {
      REQUIRE(total(kModes[mode], 2 * ranks) < total(kModes[mode], ranks));
      REQUIRE(total(kModes[mode], ranks) < total(kModes[mode - 1], ranks));
    }
    REQUIRE(total(Sharding::none, 2 * ranks) == total(Sharding::none, ranks));
  }
}

TEST_CASE("bf16 reductions halve the bytes of gradients on the wire") {
  const auto section = small_model();
  for (const auto mode : kModes) {
    const auto wide =
        traffic_per_step(shard_model(section, Precision::bf16, parallel(mode, 2), 8), 3);
    const auto half = traffic_per_step(
        shard_model(section, Precision::bf16, parallel(mode, 2, Precision::bf16), 8), 3);
    REQUIRE(half.scatters == Approx(wide.scatters / 2));
    REQUIRE(half.all_reduces == Approx(wide.all_reduces / 2));
    REQUIRE(half.gathers == wide.gathers);
  }
}

TEST_CASE("replicas that do not divide the ranks are refused") {
  REQUIRE_THROWS_AS(shard_model(small_model(), Precision::fp32, parallel(Sharding::full, 3), 8),
                    InputError);
}

}  // namespace
}  // namespace zebra
