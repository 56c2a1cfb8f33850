#include "bench/timed_model.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

#include "base/random.h"
#include "base/system.h"
#include "distributed/sharded_unit.h"
#include "eval/generate.h"
#include "model/placement.h"
#include "ops/attention.h"
#include "ops/linear.h"

namespace zebra {
namespace {

constexpr std::int64_t kSeed = 1;

}  // namespace

FlatModel::FlatModel(const ModelConfig& section, Precision precision, torch::Device device)
    : model(section, ParameterMemory::placeholder) {
  const torch::TensorOptions on_device(device);
  for (const auto& unit : model->units()) {
    FlatLayout layout(unit, /*ranks=*/1);
    const auto weights = torch::empty({layout.size()}, on_device.dtype(weight_type(precision)));
    const auto of_unit = torch::zeros({layout.size()}, on_device.dtype(torch::kFloat32));
    layout.fill_initial_weights(kSeed, 0, weights);
    layout.adopt(weights, of_unit);
    ranges.push_back({weights, of_unit, layout.decayed_size()});
  }
}

std::vector<torch::Tensor> FlatModel::gradients() const {
  std::vector<torch::Tensor> all;
  for (const auto& range : ranges) all.push_back(range.gradients);
  return all;
}

torch::Tensor random_tokens(std::int64_t batch, std::int64_t length, std::int64_t vocabulary,
                            const char* purpose) {
  const auto stream = RandomStream::named(kSeed, purpose);
  auto tokens = torch::empty({batch, length}, torch::kInt64);
  auto* data = tokens.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    data[i] = static_cast<std::int64_t>(stream.bits(static_cast<std::uint64_t>(i)) %
                                        static_cast<std::uint64_t>(vocabulary));
  }
  return tokens;
}

PassSeconds time_loss(ZebraModel& model, std::int64_t batch, std::int64_t length,
                      const DeviceMeter& meter) {
  const auto random = [&](const char* purpose) {
    return random_tokens(batch, length, model->config().vocab_size, purpose).to(meter.device());
  };
  const auto tokens = random("tokens of a measurement"),
             targets = random("targets of a measurement");
  const auto scale = torch::full({}, 1.0 / static_cast<double>(targets.numel()),
                                 torch::TensorOptions(meter.device()).dtype(torch::kFloat32));
  CrossEntropySum sums;
  PassSeconds seconds;
  seconds.forward = meter.seconds([&] { sums = model->loss(tokens, targets); });
  seconds.backward = meter.seconds([&] { sums.objective.backward(scale); });
  return seconds;
}

double time_update(AdamW& optimizer, const std::vector<torch::Tensor>& gradients, double lr,
                   double grad_clip, const DeviceMeter& meter) {
  return meter.seconds([&] {
    const double norm = std::sqrt(squared_norm(gradients).item<double>());
    optimizer.step(lr, clip_scale(norm, grad_clip));
    for (const auto& gradient : gradients) gradient.zero_();
  });
}

GenerationSeconds time_generation(ZebraModel& model, std::int64_t length, std::int64_t new_tokens,
                                  const DeviceMeter& meter) {
  const auto tokens =
      random_tokens(1, length, model->config().vocab_size, "prompt of a measurement");
  const auto* data = tokens.const_data_ptr<std::int64_t>();
  const std::vector<std::int32_t> prompt(data, data + length);
  std::vector<double> times;
  meter.synchronize();
  const double begin = monotonic_seconds();
  generate(model, prompt, {.max_new_tokens = new_tokens, .temperature = 0.0},
           [&](std::int32_t) { times.push_back(monotonic_seconds()); });
  std::vector<double> steps;
  for (std::size_t i = 1; i < times.size(); ++i) steps.push_back(times[i] - times[i - 1]);
  return {times.front() - begin, median(std::move(steps))};
}

// The parts of a model, each alone.

namespace {

using Tensors = std::vector<torch::Tensor>;

constexpr int kSamples = 3;
constexpr int kCallsPerSample = 10;  // of what takes microseconds
constexpr std::int64_t kShortCache = 64;
constexpr std::int64_t kGeneratedTokens = 16;

// The median of a few samples, of seconds or of passes, behind one that does not count.
template <class Sample>
auto median_sample(const Sample& sample) {
  sample();
  std::vector<decltype(sample())> samples;
  for (int i = 0; i < kSamples; ++i) samples.push_back(sample());
  if constexpr (std::is_same_v<decltype(sample()), double>) {
    return median(std::move(samples));
  } else {
    return median_figures(std::move(samples));
  }
}

struct Reference {
  const ReferenceWork& work;
  torch::ScalarType type;
  const DeviceMeter& meter;

  // Values as activations have them: of size one, no two neighbours alike.
  torch::Tensor values(at::IntArrayRef sizes) const {
    const torch::TensorOptions options(meter.device());
    const auto numel = c10::multiply_integers(sizes);
    return torch::sin(torch::arange(numel, options.dtype(torch::kFloat32))).view(sizes).to(type);
  }

  torch::Tensor activations(std::int64_t width) const {
    return values({work.batch, work.length, width});
  }

  SequenceContext context(std::int64_t tokens, std::int64_t first = 0) const {
    return make_sequence_context(work.shape, tokens, meter.device(), {}, first);
  }

  double per_call(const std::function<void()>& call) const {
    return median_sample([&] {
      return meter.seconds([&] {
        for (int calls = 0; calls < kCallsPerSample; ++calls) call();
      }) / kCallsPerSample;
    });
  }

  // Forward and backward of `part` from `inputs` on, whose gradients flow but are not added up.
  PassSeconds passes(const Tensors& inputs, const std::function<Tensors()>& part) const {
    for (const auto& input : inputs) input.requires_grad_();
    Tensors gradients;
    return median_sample([&] {
      Tensors outputs;
      PassSeconds seconds;
      seconds.forward = meter.seconds([&] { outputs = part(); });
      if (gradients.empty()) {
        for (const auto& output : outputs) gradients.push_back(values(output.sizes()));
      }
      seconds.backward = meter.seconds([&] { torch::autograd::backward(outputs, gradients); });
      for (const auto& input : inputs) input.mutable_grad() = torch::Tensor();
      return seconds;
    });
  }
};

// The matrix products of a layer, each of an input of its own.
Tensors products(const Block& block, const Tensors& inputs) {
  return {linear_projection(inputs[0], block->attention->qkv_weight),
          linear_projection(inputs[1], block->attention->output_weight),
          linear_projection(inputs[2], block->feed_forward->gate_up_weight),
          linear_projection(inputs[3], block->feed_forward->down_weight)};
}

Tensors product_inputs(const ModelConfig& shape,
                       const std::function<torch::Tensor(std::int64_t width)>& values) {
  return {values(shape.hidden_size), values(shape.query_width()), values(shape.hidden_size),
          values(shape.intermediate_size)};
}

PassSeconds time_attention(const Reference& reference, LayerKind kind) {
  const auto& shape = reference.work.shape;
  const auto context = reference.context(reference.work.length);
  const PackedHeads packed = {
      reference.activations(shape.packed_projection_width()).unflatten(-1, {-1, shape.head_dim}),
      shape.num_attention_heads};
  return reference.passes({packed.heads}, [&]() -> Tensors {
    if (kind == LayerKind::global) return {global_attention(packed, context.global, {})};
    return {local_attention(packed, shape.window_size, context.local, {})};
  });
}

double time_prefill(const Reference& reference, Block& block) {
  const torch::NoGradGuard no_grad;
  const auto x = reference.activations(reference.work.shape.hidden_size);
  const auto context = reference.context(reference.work.length);
  return median_sample([&] {
    return reference.meter.seconds([&] {
      KeyValueCache cache(reference.work.length);
      block->forward_cached(x, context, cache);
    });
  });
}

// A layer's passes over a whole sequence.
void time_layer(const Reference& reference, Block& block, ReferenceSeconds& seconds) {
  const auto& work = reference.work;
  const auto inputs =
      product_inputs(work.shape, [&](std::int64_t width) { return reference.activations(width); });
  seconds.layer_products = reference.passes(inputs, [&] { return products(block, inputs); });
  if (work.has_global) seconds.global_attention = time_attention(reference, LayerKind::global);
  if (work.has_local) seconds.local_attention = time_attention(reference, LayerKind::local);
  const auto x = reference.activations(work.shape.hidden_size);
  const auto context = reference.context(work.length);
  seconds.block = reference.passes({x}, [&] { return Tensors{block->forward(x, context)}; });
  seconds.block_prefill = time_prefill(reference, block);
}

// What a generated token costs. All layers take part, one behind the other, so that each finds its
// weights and keys as far away as in a model at work.
class TokenTiming {
 public:
  TokenTiming(const Reference& reference, ZebraModel& model)
      : reference_(reference),
        model_(model),
        inputs_(product_inputs(reference.work.shape,
                               [&](std::int64_t width) {
                                 return reference.values({1, 1, width});
                               })),
        q_(reference.values(
            {1, 1, reference.work.shape.num_attention_heads, reference.work.shape.head_dim})) {}

  // All products, the head's too, and attention to `keys` cached ones in each layer.
  double reads(std::int64_t keys) const {
    const auto& shape = reference_.work.shape;
    const auto kv = reference_.values({1, keys, shape.num_key_value_heads, shape.head_dim});
    auto caches = empty_caches(keys);
    for (auto& cache : caches) cache.append(kv, kv);
    const auto hidden = inputs_[0].flatten();
    return reference_.per_call([&] {
      for (std::size_t i = 0; i < caches.size(); ++i) read_layer(i, caches[i]);
      linear_projection(hidden, model_->head_weight());
    });
  }

  // Per layer, with nearly empty caches.
  void time_layers(ReferenceSeconds& seconds) const {
    auto caches = empty_caches(kShortCache);
    const auto prompt = reference_.values({1, kShortCache, reference_.work.shape.hidden_size});
    const auto of_prompt = reference_.context(kShortCache),
               of_token = reference_.context(1, kShortCache);
    for (std::size_t i = 0; i < caches.size(); ++i) {
      model_->blocks[i]->forward_cached(prompt, of_prompt, caches[i]);
    }
    const auto layers = static_cast<double>(caches.size());
    seconds.layer_token = reference_.per_call([&] {
      for (std::size_t i = 0; i < caches.size(); ++i) {
        model_->blocks[i]->forward_cached(inputs_[0], of_token, caches[i]);
      }
    }) / layers;
    seconds.layer_token_reads = reference_.per_call([&] {
      for (std::size_t i = 0; i < caches.size(); ++i) read_layer(i, caches[i]);
    }) / layers;
  }

 private:
  std::vector<KeyValueCache> empty_caches(std::int64_t capacity) const {
    return std::vector<KeyValueCache>(model_->blocks.size(), KeyValueCache(capacity));
  }

  void read_layer(std::size_t layer, const KeyValueCache& cache) const {
    products(model_->blocks[layer], inputs_);
    cached_attention(q_, cache.keys(), cache.values());
  }

  const Reference& reference_;
  ZebraModel& model_;
  Tensors inputs_;
  torch::Tensor q_;
};

void time_token(const Reference& reference, ZebraModel& model, ReferenceSeconds& seconds) {
  const torch::NoGradGuard no_grad;
  const TokenTiming timing(reference, model);
  timing.time_layers(seconds);
  for (const auto keys : reference.work.cached_keys) {
    seconds.token_reads.push_back(timing.reads(keys));
  }
}

// A model without layers.
void time_ends(const Reference& reference, Precision precision, ReferenceSeconds& seconds) {
  const auto& work = reference.work;
  auto section = work.shape;
  section.layers.clear();
  FlatModel ends(section, precision, reference.meter.device());
  seconds.ends = median_sample(
      [&] { return time_loss(ends.model, work.batch, work.length, reference.meter); });

  const torch::NoGradGuard no_grad;
  seconds.ends_token =
      time_generation(ends.model, kShortCache, kGeneratedTokens, reference.meter).per_token;
  const auto hidden = reference.values({section.hidden_size});
  seconds.ends_token_head =
      reference.per_call([&] { linear_projection(hidden, ends.model->head_weight()); });
}

double time_reference_update(const Reference& reference, const OptimizerSection& settings) {
  const torch::TensorOptions on_device(reference.meter.device());
  const OptimizerRange range = {
      torch::zeros({kOptimizerReference}, on_device.dtype(reference.type)),
      torch::zeros({kOptimizerReference}, on_device.dtype(torch::kFloat32)), kOptimizerReference};
  AdamW optimizer(settings, {range});
  return median_sample([&] {
    return time_update(optimizer, {range.gradients}, settings.lr, /*grad_clip=*/1.0,
                       reference.meter);
  });
}

}  // namespace

ReferenceSeconds time_reference(const ReferenceWork& work, Precision precision,
                                const OptimizerSection& optimizer, const DeviceMeter& meter) {
  const Reference reference = {work, weight_type(precision), meter};
  ReferenceSeconds seconds;
  {
    FlatModel whole(work.shape, precision, meter.device());
    time_layer(reference, whole.model->blocks.front(), seconds);
    time_token(reference, whole.model, seconds);
  }
  time_ends(reference, precision, seconds);
  seconds.optimizer_update = time_reference_update(reference, optimizer);
  return seconds;
}

}  // namespace zebra
