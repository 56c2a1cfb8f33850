#include "distributed/sharded_data_parallel.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "distributed/job.h"

namespace zebra {
namespace {

// Units and pairs of ranks that differ; rank r must equal rank r % shards. `texts` are the hashes
// of the units on each rank, all of one length, one behind the other.
std::string differences(const std::vector<std::string>& texts, int shards,
                        const std::vector<ShardedUnit>& units) {
  std::vector<std::string> found;
  const auto length = texts.empty() ? 0 : texts.front().size() / units.size();
  for (std::size_t rank = static_cast<std::size_t>(shards); rank < texts.size(); ++rank) {
    const std::size_t like = rank % static_cast<std::size_t>(shards);
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (texts[rank].compare(i * length, length, texts[like], i * length, length) != 0)
        found.push_back(units[i].name() + " on ranks " + std::to_string(like) + " and " +
                        std::to_string(rank));
    }
  }
  return join(found, ", ");
}

}  // namespace

ShardedDataParallel::ShardedDataParallel(ZebraModel& model, const ShardingOptions& options,
                                         const ProcessGroups& groups, torch::Device device,
                                         std::int64_t seed)
    : model_(model), options_(options), groups_(groups) {
  for (const auto& unit : model->units()) {
    order_.push_back(units_.size());
    units_.emplace_back(unit, options, groups, device, seed);
  }
  if (model->config().tie_word_embeddings) order_.push_back(0);
  uses_left_.resize(units_.size());
  model->set_observer(this);
}

ShardedDataParallel::~ShardedDataParallel() { model_->set_observer(nullptr); }

void ShardedDataParallel::begin_micro_batch(bool last) {
  last_micro_batch_ = last;
  position_ = 0;
  std::fill(uses_left_.begin(), uses_left_.end(), 0);
  for (const auto unit : order_) ++uses_left_[unit];
}

bool ShardedDataParallel::exchanges(bool last) const {
  const auto& first = units_.front();
  if (first.splits_weights() || first.splits_gradients()) return true;
  return last && (groups_.shards->size() > 1 || groups_.replicas->size() > 1);
}

void ShardedDataParallel::before_forward(std::size_t unit) {
  units_[unit].finish_gather();
  // Generation comes to the head twice, as norm and as logits: hence the search.
  while (order_[position_] != unit) position_ = (position_ + 1) % order_.size();
  if (position_ + 1 < order_.size()) units_[order_[position_ + 1]].start_gather();
}

void ShardedDataParallel::after_forward(std::size_t unit) {
  // The backward pass begins with the unit that the forward pass ends with.
  const bool wanted_soon = position_ + 1 == order_.size() && torch::GradMode::is_enabled();
  if (!wanted_soon) units_[unit].free_weights();
  if (position_ + 1 < order_.size()) ++position_;
}

void ShardedDataParallel::before_backward(std::size_t unit, bool reads_weights) {
  if (reads_weights) units_[unit].finish_gather();
  // Backward of the embedding, the first unit, reads no weights.
  if (position_ > 1) units_[order_[position_ - 1]].start_gather();
  units_[unit].prepare_gradients();
}

void ShardedDataParallel::after_backward(std::size_t unit) {
  units_[unit].free_weights();
  if (position_ > 0) --position_;
  if (--uses_left_[unit] > 0) return;
  const bool reduces = units_[unit].splits_gradients() || last_micro_batch_;
  if (!reduces) return;
  units_[unit].start_reduction();
  finish_micro_batch();  // the reduction that began before
  reducing_ = &units_[unit];
}

void ShardedDataParallel::finish_micro_batch() {
  if (reducing_ != nullptr) reducing_->finish_reduction(last_micro_batch_);
  reducing_ = nullptr;
}

torch::Tensor ShardedDataParallel::gradient_norm() const {
  std::vector<torch::Tensor> gradients;
  for (const auto& unit : units_) gradients.push_back(unit.gradient_shard());
  const auto sum_of_squares = squared_norm(gradients);
  if (options_.sharding != Sharding::none)
    groups_.shards->all_reduce(sum_of_squares, "the gradient norm").wait();
  return sum_of_squares.sqrt();
}

std::vector<OptimizerRange> ShardedDataParallel::optimizer_ranges() const {
  std::vector<OptimizerRange> ranges;
  for (const auto& unit : units_) {
    const auto decayed = unit.layout().decayed_size() - unit.shard_begin();
    ranges.push_back({unit.weight_shard(), unit.gradient_shard(),
                      std::clamp<std::int64_t>(decayed, 0, unit.weight_shard().numel())});
  }
  return ranges;
}

void ShardedDataParallel::check_replicas(Job& job) const {
  std::string hashes;
  for (const auto& unit : units_) {
    const auto on_host = unit.resident_weights().to(torch::kCPU);
    hashes += hash_of({static_cast<const char*>(on_host.const_data_ptr()), on_host.nbytes()});
  }
  const auto texts = job.gather(hashes, "the hashes of replicas");
  const int shards = units_.front().splits_weights() ? groups_.shards->size() : 1;
  const auto found = job.broadcast(differences(texts, shards, units_), "how replicas compare");
  if (found.empty()) return;
  throw RunError("the replicas of the model have come apart: the weights differ in " + found +
                 ". A machine is faulty, or a computation is not deterministic. Start the job "
                 "again without the machine in question, from a checkpoint that was saved before");
}

}  // namespace zebra
