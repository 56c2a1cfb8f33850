#include "ops/context_attention.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "ops/attention.h"
#include "ops/fused_kernels.h"

namespace zebra {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using RowCounts = std::vector<std::int64_t>;

std::int64_t rounded_to_unit(std::int64_t tokens) {
  return (tokens + kernels::kQueryUnit - 1) / kernels::kQueryUnit * kernels::kQueryUnit;
}

// [..., keys]: tokens before the first query, each a document of its own, then `own` [..., c].
Tensor after_keys(std::int64_t begin, const Tensor& own) {
  auto shape = own.sizes().vec();
  shape.back() = begin;
  return torch::cat({torch::arange(begin, own.options()).expand(shape), own}, -1);
}

// Keys and values of one layer: [.., tokens, 2 Hkv, D], keys first.
Tensor keys_of(const Tensor& both) { return both.narrow(-2, 0, both.size(-2) / 2); }
Tensor values_of(const Tensor& both) {
  return both.narrow(-2, both.size(-2) / 2, both.size(-2) / 2);
}

// a += b, rounded once.
void add_rounded_once(const Tensor& a, const Tensor& b) {
  a.copy_(a.to(torch::kFloat32) + b.to(torch::kFloat32));
}

// One call of a kernel, of queries that are the last ones.

AttentionInputs late_inputs(const Tensor& q, const Tensor& both, std::int64_t window,
                            const Tensor& first_token) {
  return {.q = q,
          .k = keys_of(both),
          .v = values_of(both),
          .window = window,
          .first_token = first_token};
}

bool has_late_kernel(const AttentionInputs& in) {
  return !wants_reference_kernels() && has_local_attention_kernel(in.q);
}

Tensor plain_late(const AttentionInputs& in, const Tensor& sink) {
  const auto begin = in.k.size(1) - in.q.size(1);
  PackedDocuments documents;
  documents.first_token = in.first_token;
  return plain_local_attention(torch::constant_pad_nd(in.q, {0, 0, 0, 0, begin, 0}), in.k, in.v,
                               in.window, /*rotary=*/{}, documents, sink)
      .narrow(1, begin, in.q.size(1));
}

AttentionResult attend_late(const AttentionInputs& in, const Tensor& sink) {
  if (!has_late_kernel(in)) return {.out = plain_late(in, sink), .log_sum_exp = {}, .saved = {}};
  const auto result = compute_attention(in);
  return sink.defined() ? with_sink(result, sink) : result;
}

struct LateGradients {
  Tensor q, both, sink;
};

LateGradients plain_late_gradients(const Tensor& d_out, AttentionInputs in, const Tensor& sink) {
  const torch::AutoGradMode with_gradients(true);
  variable_list inputs;
  const auto leaf = [&](const Tensor& x) {
    inputs.push_back(x.detach().requires_grad_());
    return inputs.back();
  };
  in.q = leaf(in.q);
  in.k = leaf(in.k);
  in.v = leaf(in.v);
  const auto own_sink = sink.defined() ? leaf(sink) : sink;
  const auto gradients = torch::autograd::grad({plain_late(in, own_sink)}, inputs, {d_out});
  return {gradients[0], torch::cat({gradients[1], gradients[2]}, 2),
          sink.defined() ? gradients[3] : Tensor()};
}

LateGradients differentiate_late(const Tensor& d_out, const AttentionInputs& in,
                                 const AttentionResult& result, const Tensor& sink) {
  if (!has_late_kernel(in)) return plain_late_gradients(d_out, in, sink);
  const auto [dq, dk, dv] = differentiate_attention(d_out, in, result, sink.defined());
  return {dq, torch::cat({dk, dv}, 2),
          sink.defined() ? sink_gradient(d_out, result, sink) : Tensor()};
}

// The two chunks of each of B sequences: [B, 2 c, …] as [2 B, c, …], a view where x allows it.
Tensor as_chunks(const Tensor& x) { return x.unflatten(1, {2, x.size(1) / 2}).flatten(0, 1); }

/// What both kinds of layer do for this rank's chunks.
class ContextLayer {
 public:
  ContextLayer(const ContextChunks& chunks, const Tensor& q, const Tensor& both)
      : chunks_(chunks),
        share_(chunks.exchange->share()),
        q_(q),
        both_(both),
        chunk_(both.size(1) / 2) {}

 protected:
  /// [B, begin, 2 Hkv, D] keys of zero before [B, own, …], which the caller writes.
  Tensor empty_keys(std::int64_t batch, std::int64_t tokens) const {
    return torch::empty({batch, tokens, both_.size(2), both_.size(3)}, both_.options());
  }

  const ContextChunks& chunks_;
  const ContextShare share_;
  const Tensor q_, both_;  // [B, 2 c, Hq, D] and [B, 2 c, 2 Hkv, D]
  const std::int64_t chunk_;
};

class LocalLayer : ContextLayer {
 public:
  using ContextLayer::ContextLayer;

  /// Starts to fetch what the window needs of the neighbours: the keys before this rank's first
  /// chunk, if there are any, then those before its second one.
  ContextExchange::Arrival fetch() const {
    if (chunks_.window == 0) return [] { return Tensor(); };
    const auto tails = ends_of(both_, chunk_ - chunks_.window);
    return send(tails.select(1, 1), tails.select(1, 0), "keys of the window");
  }

  std::vector<AttentionResult> attend(const Tensor& halo, const Tensor& sink) const {
    return {attend_late(inputs(halo), sink)};
  }

  LateGradients differentiate(const Tensor& d_out, const Tensor& halo,
                              const std::vector<AttentionResult>& results,
                              const Tensor& sink) const {
    auto gradients = differentiate_late(as_chunks(d_out), inputs(halo), results.front(), sink);
    gradients.q = gradients.q.view(q_.sizes());
    const auto of_keys = gradients.both.unflatten(0, {both_.size(0), 2});
    const auto begin = of_keys.size(2) - chunk_, window = chunks_.window;
    gradients.both = of_keys.narrow(2, begin, chunk_).reshape(both_.sizes());
    if (window == 0) return gradients;
    const auto of_halo = of_keys.narrow(2, begin - window, window);
    const auto arrived =
        send(of_halo.select(1, 0), of_halo.select(1, 1), "gradients of the window's keys")();
    const auto tails = ends_of(gradients.both, chunk_ - window);
    add_rounded_once(tails.select(1, 0), arrived[-1]);
    if (has_chunk_before()) add_rounded_once(tails.select(1, 1), arrived[0]);
    return gradients;
  }

 private:
  bool has_chunk_before() const { return share_.rank > 0; }

  // The last tokens of both chunks, from `begin` on: [B, 2, chunk - begin, …].
  Tensor ends_of(const Tensor& x, std::int64_t begin) const {
    return x.unflatten(1, {2, chunk_}).narrow(2, begin, chunk_ - begin);
  }

  // To the rank below, if there is one, and to the one above. Of the last rank the first chunk ends
  // where its own second one begins.
  ContextExchange::Arrival send(const Tensor& below, const Tensor& above, const char* what) const {
    RowCounts rows(static_cast<std::size_t>(share_.ranks));
    if (has_chunk_before()) rows[static_cast<std::size_t>(share_.rank - 1)] = 1;
    rows[static_cast<std::size_t>(std::min(share_.rank + 1, share_.ranks - 1))] += 1;
    const auto own = has_chunk_before() ? torch::stack({below, above}) : above.unsqueeze(0);
    return chunks_.exchange->exchange(own.contiguous(), rows, rows, what);
  }

  AttentionInputs inputs(const Tensor& halo) const {
    const auto window = chunks_.window, begin = rounded_to_unit(window), batch = both_.size(0);
    const auto keys = empty_keys(2 * batch, begin + chunk_);
    const auto of_sequence = keys.unflatten(0, {batch, 2});
    of_sequence.narrow(2, 0, begin).zero_();
    of_sequence.narrow(2, begin, chunk_).copy_(both_.unflatten(1, {2, chunk_}));
    if (window > 0) {
      const auto before = of_sequence.narrow(2, begin - window, window);
      before.select(1, 1).copy_(halo[-1]);
      if (has_chunk_before()) before.select(1, 0).copy_(halo[0]);
    }
    return late_inputs(as_chunks(q_), keys, window, chunks_.local_first_token);
  }
};

class GlobalLayer : ContextLayer {
 public:
  using ContextLayer::ContextLayer;

  ContextExchange::Arrival fetch() const {
    return chunks_.exchange->gather(both_, "keys of all tokens");
  }

  std::vector<AttentionResult> attend(const Tensor& gathered, const Tensor& sink) const {
    std::vector<AttentionResult> results;
    for (std::int64_t half : {0, 1}) results.push_back(attend_late(inputs(gathered, half), sink));
    return results;
  }

  LateGradients differentiate(const Tensor& d_out, const Tensor& gathered,
                              const std::vector<AttentionResult>& results,
                              const Tensor& sink) const {
    LateGradients sum;
    std::vector<Tensor> dq, of_chunks(static_cast<std::size_t>(share_.chunk_count()));
    for (std::int64_t half : {1, 0}) {
      const auto part =
          differentiate_late(d_out.narrow(1, half * chunk_, chunk_), inputs(gathered, half),
                             results[static_cast<std::size_t>(half)], sink);
      dq.insert(dq.begin(), part.q);
      add_by_chunk(part.both, half, of_chunks);
      if (sink.defined()) sum.sink = sum.sink.defined() ? sum.sink + part.sink : part.sink;
    }
    sum.q = torch::cat(dq, 1);
    sum.both = own_sum(of_chunks);
    return sum;
  }

 private:
  std::int64_t number(std::int64_t half) const {
    return share_.chunks()[static_cast<std::size_t>(half)];
  }

  // All keys up to the end of a chunk of this rank.
  AttentionInputs inputs(const Tensor& gathered, std::int64_t half) const {
    const auto begin = rounded_to_unit(number(half) * chunk_);
    const auto keys = empty_keys(both_.size(0), begin + chunk_);
    const auto padding = begin - number(half) * chunk_;
    keys.narrow(1, 0, padding).zero_();
    for (std::int64_t chunk = 0; chunk <= number(half); ++chunk) {
      const bool is_first = chunk < share_.ranks;
      keys.narrow(1, padding + chunk * chunk_, chunk_)
          .copy_(gathered[share_.owner(chunk)].narrow(1, is_first ? 0 : chunk_, chunk_));
    }
    return late_inputs(q_.narrow(1, half * chunk_, chunk_), keys, /*window=*/keys.size(1),
                       chunks_.global_first_token[static_cast<std::size_t>(half)]);
  }

  void add_by_chunk(const Tensor& of_keys, std::int64_t half, std::vector<Tensor>& sums) const {
    const auto padding = of_keys.size(1) - (number(half) + 1) * chunk_;
    for (std::int64_t chunk = 0; chunk <= number(half); ++chunk) {
      const auto part = of_keys.narrow(1, padding + chunk * chunk_, chunk_);
      auto& sum = sums[static_cast<std::size_t>(chunk)];
      if (sum.defined())
        add_rounded_once(sum, part);
      else
        sum = part;
    }
  }

  // Sends the gradients of every chunk that this rank's queries see to its owner. No query here
  // sees the second chunk of a rank below, whose own queries see those of ranks above.
  Tensor own_sum(const std::vector<Tensor>& of_chunks) const {
    RowCounts to, from;
    std::vector<Tensor> rows;
    for (int other = 0; other < share_.ranks; ++other) {
      rows.push_back(of_chunks[static_cast<std::size_t>(other)]);
      if (other >= share_.rank)
        rows.push_back(of_chunks[static_cast<std::size_t>(share_.chunk_count() - 1 - other)]);
      to.push_back(other >= share_.rank ? 2 : 1);
      from.push_back(other <= share_.rank ? 2 : 1);
    }
    const auto arrived =
        chunks_.exchange->exchange(torch::stack(rows), to, from, "gradients of keys")();
    auto sum = torch::zeros(both_.sizes(), both_.options().dtype(torch::kFloat32));
    std::int64_t row = 0;
    for (const auto count : from) {
      for (std::int64_t half = 0; half < count; ++half)
        sum.narrow(1, half * chunk_, chunk_).add_(arrived[row++]);
    }
    return sum.to(both_.scalar_type());
  }
};

/// What the backward needs beside tensors.
struct ContextPass : torch::CustomClassHolder {
  ContextPass(const ContextChunks& of, bool local) : chunks(of), is_local(local) {}
  ContextChunks chunks;
  bool is_local;
};

template <class Compute>
auto with_layer(const ContextPass& pass, const Tensor& q, const Tensor& both,
                const Compute& compute) {
  return pass.is_local ? compute(LocalLayer(pass.chunks, q, both))
                       : compute(GlobalLayer(pass.chunks, q, both));
}

// [B, 2 c, Hq, D] of all results, which become views of it.
Tensor joined_chunks(std::vector<AttentionResult>& results, const Tensor& q) {
  if (results.size() == 1) return results.front().out.view(q.sizes());
  const auto all = torch::cat({results[0].out, results[1].out}, 1);
  std::int64_t begin = 0;
  for (auto& result : results) {
    const auto tokens = result.out.size(1);
    result.out = all.narrow(1, begin, tokens);
    begin += tokens;
  }
  return all;
}

class ContextAttention : public torch::autograd::Function<ContextAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::optional<Tensor>& sink, const ContextChunks& chunks,
                        bool is_local, SavedAttention* saved) {
    const auto pass = c10::make_intrusive<ContextPass>(chunks, is_local);
    const auto both = torch::cat({k, v}, 2);
    const auto own_sink = sink.value_or(Tensor());
    SavedAttention of_this_call;
    auto& kept = saved != nullptr ? *saved : of_this_call;
    if (!kept.is_filled()) {
      with_layer(*pass, q, both, [&](const auto& layer) {
        const auto arrived = layer.fetch()();
        kept.of_chunks = layer.attend(arrived, own_sink);
        kept.out = joined_chunks(kept.of_chunks, q);
        // A few keys are kept. All of them would be as many on every rank: they are fetched again.
        if (is_local) kept.halo = arrived;
      });
    }
    variable_list tensors = {q, both, kept.halo, own_sink};
    for (const auto& result : kept.of_chunks)
      tensors.insert(tensors.end(), {result.out, result.log_sum_exp, result.saved});
    context->save_for_backward(std::move(tensors));
    context->saved_data["pass"] = c10::IValue::make_capsule(pass);
    return kept.out.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& d_out) {
    const auto s = context->get_saved_variables();
    const auto &q = s[0], &both = s[1], &halo = s[2], &sink = s[3];
    const auto holder = context->saved_data["pass"].toCapsule();
    const auto& pass = static_cast<const ContextPass&>(*holder);
    std::vector<AttentionResult> results;
    for (std::size_t i = 4; i < s.size(); i += 3)
      results.push_back({.out = s[i], .log_sum_exp = s[i + 1], .saved = s[i + 2]});
    const auto gradients = with_layer(pass, q, both, [&](const auto& layer) {
      const auto keys = pass.is_local ? halo : layer.fetch()();
      return layer.differentiate(d_out[0].contiguous(), keys, results, sink);
    });
    return {gradients.q, keys_of(gradients.both), values_of(gradients.both), gradients.sink, {}, {},
            {}};
  }
};

}  // namespace

ContextChunks make_context_chunks(ContextExchange& exchange, std::int64_t batch,
                                  std::int64_t length, torch::Device device, std::int64_t window,
                                  const torch::Tensor& first_token) {
  const auto share = exchange.share();
  const auto chunk = length / 2, numbers = std::int64_t{2};
  TORCH_CHECK(length % 2 == 0 && window <= chunk, "chunks of ", chunk,
              " tokens are shorter than the window of ", window);
  const auto options = torch::TensorOptions(device).dtype(torch::kInt64);
  const auto first = (first_token.defined() ? first_token : torch::zeros({batch, length}, options))
                         .unflatten(1, {numbers, chunk});  // [B, 2, c]
  ContextChunks chunks;
  chunks.exchange = &exchange;
  chunks.window = window;
  std::vector<Tensor> local;
  for (std::size_t half = 0; half < 2; ++half) {
    const auto number = share.chunks()[half], before = number * chunk;
    const auto own = first.select(1, static_cast<std::int64_t>(half));
    const auto begin = rounded_to_unit(window), begin_global = rounded_to_unit(before);
    const auto seen_before = number > 0 ? window : 0;
    local.push_back(after_keys(begin, (own - before + begin).clamp_min(begin - seen_before)));
    chunks.global_first_token[half] = after_keys(begin_global, own + (begin_global - before));
  }
  chunks.local_first_token = torch::stack(local, 1).flatten(0, 1);
  return chunks;
}

torch::Tensor context_attention(const RotatedHeads& heads, bool is_local,
                                const ContextChunks& chunks, SavedAttention* saved,
                                const torch::Tensor& sink) {
  const auto optional_sink = sink.defined() ? std::optional(sink) : std::nullopt;
  return ContextAttention::apply(heads.q, heads.k, heads.v, optional_sink, chunks, is_local, saved);
}

}  // namespace zebra
