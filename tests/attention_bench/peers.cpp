#include <algorithm>
#include <limits>

#include <torch/csrc/autograd/autograd.h>

#include "competitor.h"
#ifdef ZEBRA_WITH_CUDA
#include "cuda_peers.h"
#endif

namespace zebra::bench {
namespace {

constexpr std::int64_t kChunk = 256;

/// Added to the scores of queries [first_query, first_query + queries) with the keys from first_key
/// on: 0 where a query sees a key, else -infinity. In the inputs' type, so that LibTorch need not
/// convert it.
torch::Tensor band_mask(const Case& shape, std::int64_t first_query, std::int64_t queries,
                        std::int64_t first_key, std::int64_t keys) {
  const auto integers = torch::dtype(torch::kInt64).device(shape.device);
  const auto query = torch::arange(first_query, first_query + queries, integers).unsqueeze(1);
  const auto key = torch::arange(first_key, first_key + keys, integers).unsqueeze(0);
  const auto hidden = (key > query).logical_or_(key < query - shape.window);
  return torch::zeros({queries, keys}, integers.dtype(shape.type))
      .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

/// LibTorch's fused attention under a mask; [B, T, H, D] in and out.
torch::Tensor masked_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const torch::Tensor& mask) {
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          mask, /*dropout_p=*/0.0, /*is_causal=*/false,
                                          /*scale=*/std::nullopt,
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

/// Chunks of queries, each against the keys that it can see. Every chunk has leaf tensors of its
/// own and its gradients are added to slices: autograd's gradient of a slice would fill a tensor of
/// the full length for each chunk.
class ChunkedCompetitor final : public Competitor {
 public:
  explicit ChunkedCompetitor(const Problem& problem)
      : problem_(problem),
        leaf_q_(problem.inputs.q().detach().requires_grad_()),
        leaf_k_(problem.inputs.k().detach().requires_grad_()) {
    const auto& shape = problem.shape;
    for (std::int64_t begin = 0; begin < shape.length; begin += kChunk) {
      Chunk chunk;
      chunk.first_query = begin;
      chunk.queries = std::min(kChunk, shape.length - begin);
      chunk.first_key = std::max<std::int64_t>(begin - shape.window, 0);
      chunk.keys = begin + chunk.queries - chunk.first_key;
      const bool as_before = !chunks_.empty() && chunk.has_shape_of(chunks_.back());
      chunk.mask = as_before ? chunks_.back().mask
                             : band_mask(shape, begin, chunk.queries, chunk.first_key, chunk.keys);
      chunks_.push_back(chunk);
    }
  }

  void forward() override {
    q_ = apply_rotary(leaf_q_, problem_.rotary);
    k_ = apply_rotary(leaf_k_, problem_.rotary);
    const auto q = q_.detach(), k = k_.detach(), v = problem_.inputs.v();
    out_ = torch::empty_like(problem_.d_out);
    for (auto& chunk : chunks_) {
      chunk.leaves = {chunk.of_queries(q).requires_grad_(), chunk.of_keys(k).requires_grad_(),
                      chunk.of_keys(v).requires_grad_()};
      chunk.out = masked_attention(chunk.leaves[0], chunk.leaves[1], chunk.leaves[2], chunk.mask);
      chunk.of_queries(out_).copy_(chunk.out.detach());
    }
  }

  void backward() override {
    auto dq = torch::empty_like(problem_.d_out);
    auto dk = torch::zeros(k_.sizes(), k_.options());
    dv_ = torch::zeros(k_.sizes(), k_.options());
    for (const auto& chunk : chunks_) {
      const auto gradients = torch::autograd::grad(
          {chunk.out}, chunk.leaves, {chunk.of_queries(problem_.d_out)}, /*retain_graph=*/true);
      chunk.of_queries(dq).copy_(gradients[0]);
      chunk.of_keys(dk).add_(gradients[1]);
      chunk.of_keys(dv_).add_(gradients[2]);
    }
    gradients_ = torch::autograd::grad({q_, k_}, {leaf_q_, leaf_k_}, {dq, dk},
                                       /*retain_graph=*/true);
  }

  Result result() const override { return {out_, gradients_[0], gradients_[1], dv_}; }

 private:
  struct Chunk {
    std::int64_t first_query, queries, first_key, keys;
    torch::Tensor mask, out;
    std::vector<torch::Tensor> leaves;

    bool has_shape_of(const Chunk& other) const {
      return queries == other.queries && keys == other.keys &&
             first_query - first_key == other.first_query - other.first_key;
    }
    torch::Tensor of_queries(const torch::Tensor& x) const {
      return x.narrow(1, first_query, queries);
    }
    torch::Tensor of_keys(const torch::Tensor& x) const { return x.narrow(1, first_key, keys); }
  };

  const Problem& problem_;
  torch::Tensor leaf_q_, leaf_k_, q_, k_, out_, dv_;
  std::vector<torch::Tensor> gradients_;
  std::vector<Chunk> chunks_;
};

std::unique_ptr<Competitor> dense(const Problem& problem) {
  const auto length = problem.shape.length;
  return autograd_competitor(problem,
                             [&problem, mask = band_mask(problem.shape, 0, length, 0, length)](
                                 const auto& q, const auto& k, const auto& v) {
                               return masked_attention(apply_rotary(q, problem.rotary),
                                                       apply_rotary(k, problem.rotary), v, mask);
                             });
}

std::unique_ptr<Competitor> plain(const Problem& problem) {
  return autograd_competitor(problem, [&problem](const auto& q, const auto& k, const auto& v) {
    return plain_local_attention(q, k, v, problem.shape.window, problem.rotary, problem.documents);
  });
}

std::unique_ptr<Competitor> causal(const Problem& problem) {
  return autograd_competitor(problem, [&problem](const auto& q, const auto& k, const auto& v) {
    return plain_global_attention(q, k, v, problem.rotary, PackedDocuments());
  });
}

}  // namespace

const std::vector<Peer>& all_peers() {
  static const std::vector<Peer> peers = [] {
    const auto on_cpu = [](const Case& shape) {
      return shape.device == torch::kCPU && shape.document_length == 0;
    };
    std::vector<Peer> list = {
        {"sdpa-chunks", "LibTorch's fused attention, 256 queries at a time under a band mask",
         /*global=*/false, on_cpu,
         [](const Problem& problem) { return std::make_unique<ChunkedCompetitor>(problem); }},
        {"sdpa-dense", "the same in one call under a [T, T] band mask", /*global=*/false, on_cpu,
         dense},
        {"plain", "our reference in LibTorch's operations, on CUDA in float32", /*global=*/false,
         [](const Case& shape) {
           return shape.device == torch::kCPU || shape.type == torch::kFloat32;
         },
         plain},
        {"sdpa-causal", "LibTorch's fused attention over all earlier tokens: a global layer",
         /*global=*/true, on_cpu, causal}};
#ifdef ZEBRA_WITH_CUDA
    for (auto& peer : cuda_peers()) list.push_back(std::move(peer));
#endif
    return list;
  }();
  return peers;
}

}  // namespace zebra::bench
