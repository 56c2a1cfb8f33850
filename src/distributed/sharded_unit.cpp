#include "distributed/sharded_unit.h"

#include <algorithm>

#include "ops/part_scope.h"

namespace zebra {
namespace {

// Whoever else holds the tensor, such as a thread that has just finished with it, holds no memory.
void give_back_memory(const torch::Tensor& tensor) {
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(at::DataPtr(nullptr, tensor.device()));
  storage->set_nbytes(0);
}

}  // namespace

FlatLayout::FlatLayout(const ParameterUnit& unit, int ranks) : name_(unit.name) {
  const auto offsets = flat_offsets(unit.spec(), ranks);
  for (std::size_t i = 0; i < offsets.order.size(); ++i) {
    const auto& parameter = unit.parameters[offsets.order[i]];
    std::int64_t begin = offsets.begins[i];
    places_.push_back({parameter.tensor, begin});
    for (const auto& part : parameter.spec.parts) {
      tensors_.push_back({part, parameter.spec.initial, begin});
      if (parameter.spec.is_hidden_matrix()) matrices_.push_back(tensors_.back());
      begin += part.numel();
    }
  }
  size_ = offsets.size;
  decayed_size_ = offsets.decayed_size;
}

void FlatLayout::fill_initial_weights(std::int64_t seed, std::int64_t begin,
                                      const torch::Tensor& out) const {
  const std::int64_t end = begin + out.numel();
  out.zero_();
  for (const auto& [tensor, initial, tensor_begin] : tensors_) {
    const auto from = std::max(begin, tensor_begin),
               to = std::min(end, tensor_begin + tensor.numel());
    if (from >= to) continue;
    zebra::fill_initial_weights(tensor, initial, seed, from - tensor_begin,
                                out.narrow(0, from - begin, to - from));
  }
}

void FlatLayout::adopt(const torch::Tensor& weights, const torch::Tensor& gradients) {
  for (auto& [parameter, begin] : places_) {
    const auto shape = parameter.sizes().vec();
    const auto view_of = [&, begin = begin, count = parameter.numel()](const torch::Tensor& flat) {
      return flat.narrow(0, begin, count).view(shape);
    };
    parameter.set_data(view_of(weights));
    parameter.mutable_grad() = view_of(gradients);
  }
}

TransientBuffer::TransientBuffer(std::int64_t size, torch::TensorOptions options, const char* part)
    : part_(part) {
  ZEBRA_MEMORY_PART(part_);
  tensor_ = torch::empty({size}, options);
}

void TransientBuffer::allocate() {
  if (is_allocated()) return;
  ZEBRA_MEMORY_PART(part_);
  const auto& storage = tensor_.storage();
  const auto bytes = static_cast<std::size_t>(tensor_.numel()) * tensor_.element_size();
  auto* implementation = storage.unsafeGetStorageImpl();
  implementation->set_data_ptr_noswap(implementation->allocator()->allocate(bytes));
  implementation->set_nbytes(bytes);
}

void TransientBuffer::free() { give_back_memory(tensor_); }

ShardedUnit::ShardedUnit(const ParameterUnit& unit, const ShardingOptions& options,
                         const ProcessGroups& groups, torch::Device device, std::int64_t seed)
    : options_(options), groups_(groups), layout_(unit, groups.shards->size()) {
  const torch::NoGradGuard no_grad;
  const bool is_split = groups.shards->size() > 1;
  splits_weights_ = is_split && options.sharding == Sharding::full;
  splits_gradients_ = splits_weights_ || (is_split && options.sharding == Sharding::gradients);
  const auto shard_size = layout_.size() / groups.shards->size();
  shard_begin_ = groups.shards->rank() * shard_size;

  const auto weight_options = torch::TensorOptions(device).dtype(options.weight_type);
  const auto gradient_options = weight_options.dtype(torch::kFloat32);
  weights_ = {layout_.size(), weight_options, splits_weights_ ? "gathered_weights" : "weights"};
  gradients_ = {layout_.size(), gradient_options,
                splits_gradients_ ? "gradients_in_flight" : "gradients"};
  layout_.adopt(weights_.tensor(), gradients_.tensor());

  if (splits_gradients_) {
    gradients_.free();
    ZEBRA_MEMORY_PART("gradients");
    gradient_shard_ = torch::empty({shard_size}, gradient_options);
  } else {
    gradient_shard_ = groups.shards->own_shard(gradients_.tensor());
  }
  zero_gradients();
  if (splits_weights_) {
    weights_.free();
    ZEBRA_MEMORY_PART("weights");
    weight_shard_ = torch::empty({shard_size}, weight_options);
    layout_.fill_initial_weights(seed, shard_begin_, weight_shard_);
  } else {
    weight_shard_ = groups.shards->own_shard(weights_.tensor());
    layout_.fill_initial_weights(seed, 0, weights_.tensor());
  }
}

void ShardedUnit::start_gather() {
  if (!splits_weights_ || weights_.is_allocated()) return;
  weights_.allocate();
  groups_.shards->own_shard(weights_.tensor()).copy_(weight_shard_);
  gather_ = groups_.shards->all_gather(weights_.tensor(), name());
}

void ShardedUnit::finish_gather() {
  start_gather();
  gather_.wait();
}

void ShardedUnit::free_weights() {
  if (!splits_weights_) return;
  gather_.wait();
  weights_.free();
}

void ShardedUnit::start_publishing() {
  if (splits_weights_ || options_.sharding == Sharding::none) return;
  gather_ = groups_.shards->all_gather(weights_.tensor(), name());
}

void ShardedUnit::finish_publishing() {
  if (!splits_weights_) gather_.wait();
}

void ShardedUnit::prepare_gradients() {
  if (!splits_gradients_ || gradients_.is_allocated()) return;
  gradients_.allocate();
  gradients_.tensor().zero_();
}

torch::Tensor ShardedUnit::reduction_buffer(const torch::Tensor& gradients) const {
  ZEBRA_MEMORY_PART("reduction_copies");
  return gradients.to(options_.reduce_type);  // the tensor itself where it has that type
}

void ShardedUnit::start_reduction() {
  if (groups_.shards->size() == 1) return;
  reduced_ = reduction_buffer(gradients_.tensor());
  reduction_ = groups_.shards->reduce_scatter(reduced_, name());
}

void ShardedUnit::finish_reduction(bool last) {
  const torch::NoGradGuard no_grad;
  if (reduced_.defined()) {
    reduction_.wait();
    const auto shard = groups_.shards->own_shard(reduced_);
    const bool is_copy = !reduced_.is_same(gradients_.tensor());
    if (splits_gradients_) {
      gradient_shard_.add_(shard);
      gradients_.free();
    } else if (is_copy) {
      gradient_shard_.copy_(shard);
    }
    if (is_copy) give_back_memory(reduced_);
    reduced_.reset();
  }
  if (last) start_replica_reduction();
}

void ShardedUnit::start_replica_reduction() {
  if (groups_.replicas->size() == 1) return;
  replica_reduced_ = reduction_buffer(gradient_shard_);
  replica_reduction_ = groups_.replicas->all_reduce(replica_reduced_, name());
}

void ShardedUnit::finish_step() {
  const torch::NoGradGuard no_grad;
  replica_reduction_.wait();
  if (replica_reduced_.defined() && !replica_reduced_.is_same(gradient_shard_)) {
    gradient_shard_.copy_(replica_reduced_);
    give_back_memory(replica_reduced_);
  }
  replica_reduced_.reset();
}

}  // namespace zebra
