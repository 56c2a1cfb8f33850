#include "distributed/sharded_unit.h"

#include "base/memory_part.h"

namespace zebra {
namespace {

// Whoever else holds the tensor, such as a thread that has just finished with it, holds no memory.
void give_back_memory(const torch::Tensor& tensor) {
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(at::DataPtr(nullptr, tensor.device()));
  storage->set_nbytes(0);
}

}  // namespace

TransientBuffer::TransientBuffer(std::int64_t size, torch::TensorOptions options)
    : tensor_(torch::empty({size}, options)) {}

void TransientBuffer::allocate() {
  if (is_allocated()) return;
  const auto& storage = tensor_.storage();
  const auto bytes = static_cast<std::size_t>(tensor_.numel()) * tensor_.element_size();
  auto* implementation = storage.unsafeGetStorageImpl();
  implementation->set_data_ptr_noswap(implementation->allocator()->allocate(bytes));
  implementation->set_nbytes(bytes);
}

void TransientBuffer::free() { give_back_memory(tensor_); }

ShardedUnit::ShardedUnit(const ParameterUnit& unit, const ShardingOptions& options,
                         const RankGroups& groups, torch::Device device, std::int64_t seed)
    : options_(options), groups_(groups), layout_(unit, groups.shards->size()) {
  const torch::NoGradGuard no_grad;
  const bool is_split = groups.shards->size() > 1;
  splits_weights_ = is_split && options.sharding == Sharding::full;
  splits_gradients_ = splits_weights_ || (is_split && options.sharding == Sharding::gradients);
  const auto part_size = layout_.size() / groups.shards->size();
  part_begin_ = groups.shards->rank() * part_size;

  const auto weight_options = torch::TensorOptions(device).dtype(options.weight_type);
  const auto gradient_options = weight_options.dtype(torch::kFloat32);
  {
    const MemoryPartScope scope(splits_weights_ ? MemoryPart::gathered_weights
                                                : MemoryPart::weights);
    weights_ = TransientBuffer(layout_.size(), weight_options);
  }
  {
    const MemoryPartScope scope(splits_gradients_ ? MemoryPart::gradients_in_flight
                                                  : MemoryPart::gradients);
    gradients_ = TransientBuffer(layout_.size(), gradient_options);
  }
  layout_.adopt(weights_.tensor(), gradients_.tensor());

  if (splits_gradients_) {
    gradients_.free();
    const MemoryPartScope scope(MemoryPart::gradients);
    gradient_part_ = torch::empty({part_size}, gradient_options);
  } else {
    gradient_part_ = groups.shards->own_part(gradients_.tensor());
  }
  zero_gradients();
  if (splits_weights_) {
    weights_.free();
    const MemoryPartScope scope(MemoryPart::weights);
    weight_part_ = torch::empty({part_size}, weight_options);
    layout_.fill_initial_weights(seed, part_begin_, weight_part_);
  } else {
    weight_part_ = groups.shards->own_part(weights_.tensor());
    layout_.fill_initial_weights(seed, 0, weights_.tensor());
  }
}

const torch::Tensor& ShardedUnit::resident_weights() const {
  return splits_weights_ ? weight_part_ : weights_.tensor();
}

void ShardedUnit::start_gather() {
  if (!splits_weights_ || weights_.is_allocated()) return;
  const MemoryPartScope scope(MemoryPart::gathered_weights);
  weights_.allocate();
  groups_.shards->own_part(weights_.tensor()).copy_(weight_part_);
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

void ShardedUnit::zero_gradients() {
  (splits_gradients_ ? gradient_part_ : gradients_.tensor()).zero_();
}

void ShardedUnit::prepare_gradients() {
  if (!splits_gradients_ || gradients_.is_allocated()) return;
  const MemoryPartScope scope(MemoryPart::gradients_in_flight);
  gradients_.allocate();
  gradients_.tensor().zero_();
}

torch::Tensor ShardedUnit::reduction_buffer(const torch::Tensor& gradients) const {
  const MemoryPartScope scope(MemoryPart::reduction_copies);
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
    const auto part = groups_.shards->own_part(reduced_);
    const bool is_copy = !reduced_.is_same(gradients_.tensor());
    if (splits_gradients_) {
      gradient_part_.add_(part);
      gradients_.free();
    } else if (is_copy) {
      gradient_part_.copy_(part);
    }
    if (is_copy) give_back_memory(reduced_);
    reduced_.reset();
  }
  if (last) start_replica_reduction();
}

void ShardedUnit::start_replica_reduction() {
  if (groups_.replicas->size() == 1) return;
  replica_reduced_ = reduction_buffer(gradient_part_);
  replica_reduction_ = groups_.replicas->all_reduce(replica_reduced_, name());
}

void ShardedUnit::finish_step() {
  const torch::NoGradGuard no_grad;
  replica_reduction_.wait();
  if (replica_reduced_.defined() && !replica_reduced_.is_same(gradient_part_)) {
    gradient_part_.copy_(replica_reduced_);
    give_back_memory(replica_reduced_);
  }
  replica_reduced_.reset();
}

}  // namespace zebra
