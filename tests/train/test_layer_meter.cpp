#include "train/layer_meter.h"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "distributed/context_ranks.h"
#include "support/models.h"
#include "support/ranks.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kSentences = 8, kSentenceLength = 20, kMeterSeed = 3;
constexpr double kMeterRate = 3e-3;

struct Sentences {
  torch::Tensor tokens, targets;

  std::int64_t counted() const { return (targets != kIgnoredTarget).sum().item<std::int64_t>(); }
};

Sentences make_sentences(std::int64_t vocabulary) {
  const auto generator = at::detail::createCPUGenerator(11);
  const auto random = [&](std::int64_t high) {
    return torch::randint(0, high, {kSentences, kSentenceLength}, generator, torch::kInt64);
  };
  const auto tokens = random(vocabulary), targets = random(vocabulary);
  return {tokens, targets.masked_fill(random(4) == 0, kIgnoredTarget)};
}

Config measured_run(bool tied, Sharding sharding) {
  Config config;
  config.model = small_model("GLLG", 5);
  config.model.initializer_range = 0.5;  // far from uniform attention
  config.model.tie_word_embeddings = tied;
  config.train.global_batch_size = kSentences;
  config.data.sequence_length = kSentenceLength;
  config.parallel.sharding = sharding;
  return config;
}

/// One measured step, by micro-batches of one sequence.
LayerHealth measured_step(const Config& config, ActivationCheckpointing checkpointing,
                          TestRank& own) {
  const auto sentences = make_sentences(config.model.vocab_size);
  ZebraModel model(config.model, ParameterMemory::placeholder);
  ShardedDataParallel parallel(model, {config.parallel.sharding, torch::kFloat32, torch::kFloat32},
                               own.groups(), torch::kCPU, kMeterSeed);
  model->set_activation_checkpointing(checkpointing);
  ShardedOptimizer optimizer(config.optimizer, parallel);
  LayerMeter meter(config, parallel, optimizer, *own.all, torch::kCPU);
  model->set_statistics(&meter.statistics());
  ContextRanks context(*own.context);
  if (own.context->size() > 1) model->set_context(&context);
  const auto share = model->context_share();
  const auto rows = kSentences * share.ranks / own.all->size();
  parallel.begin_step();
  for (std::int64_t i = 0; i < rows; ++i) {
    parallel.begin_micro_batch(i + 1 == rows);
    const auto part = [&](const torch::Tensor& x) {
      return share.part_of(x.narrow(0, own.rank / share.ranks * rows + i, 1));
    };
    const auto sums = model->loss(part(sentences.tokens), part(sentences.targets));
    sums.objective.backward(torch::full({}, 1.0 / static_cast<double>(sentences.counted())));
    parallel.finish_micro_batch();
  }
  parallel.finish_step();
  meter.before_update();
  optimizer.step(kMeterRate, torch::tensor({1.0, 1.0}, torch::kFloat32));
  parallel.publish_weights();
  const auto health = meter.health(meter.after_update().get(), sentences.counted());
  parallel.finish_publishing();
  return health;
}

/// The same step in float64 on whole tensors, with dense masks; by names of the model's parameters.
class ExactStep {
 public:
  explicit ExactStep(const Config& config) : config_(config) {
    ZebraModel model(config.model);
    model->initialize(kMeterSeed);
    for (const auto& item : model->named_parameters()) {
      weights_[item.key()] =
          item.value().detach().to(torch::kFloat64).clone().set_requires_grad(true);
    }
    const auto sentences = make_sentences(config.model.vocab_size);
    auto x = torch::embedding(weights_["embedding_weight"], sentences.tokens);
    for (std::size_t i = 0; i < config.model.layers.size(); ++i) x = block(i, x);
    const auto logits = norm(x, "final_norm.weight").matmul(head().t());
    const auto log_z = torch::logsumexp(logits, -1);
    const auto counts = sentences.targets != kIgnoredTarget;
    const auto target = sentences.targets.masked_fill(counts.logical_not(), 0).unsqueeze(-1);
    const auto losses = log_z - logits.gather(-1, target).squeeze(-1);
    log_z_ = log_z.masked_select(counts);
    losses.masked_select(counts).mean().backward();
  }

  LayerHealth health() {
    LayerHealth health;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      static_cast<WeightHealth&>(layers_[i]) = of_weights("block_" + std::to_string(i) + ".");
      health.layers.push_back(layers_[i]);
    }
    const bool tied = config_.model.tie_word_embeddings;
    health.embedding =
        tied ? of_weights("embedding_weight", "final_norm") : of_weights("embedding_weight");
    if (!tied) health.heads = {of_weights("output_weight", "final_norm")};
    health.log_z_rms = log_z_.square().mean().sqrt().item<double>();
    health.log_z_max = log_z_.max().item<double>();
    return health;
  }

  const std::vector<double>& largest_logits() const { return largest_logits_; }

 private:
  const torch::Tensor& head() {
    return weights_[config_.model.tie_word_embeddings ? "embedding_weight" : "output_weight"];
  }

  torch::Tensor norm(const torch::Tensor& x, const std::string& path) {
    return x / (x.square().mean(-1, true) + config_.model.rms_norm_eps).sqrt() * weights_[path];
  }

  torch::Tensor rotated(const torch::Tensor& x) const {
    const auto& model = config_.model;
    const auto pairs = torch::arange(0, model.head_dim, 2, torch::kFloat64);
    const auto angles = torch::arange(x.size(1), torch::kFloat64).view({-1, 1, 1}) *
                        torch::pow(model.rope_theta, -pairs / static_cast<double>(model.head_dim));
    const auto halves = x.chunk(2, -1);
    return torch::cat({halves[0] * angles.cos() - halves[1] * angles.sin(),
                       halves[1] * angles.cos() + halves[0] * angles.sin()},
                      -1);
  }

  torch::Tensor block(std::size_t i, const torch::Tensor& x) {
    const auto name = "block_" + std::to_string(i) + ".";
    const auto& model = config_.model;
    const auto parts = norm(x, name + "attention_norm.weight")
                           .matmul(weights_[name + "attention.qkv_weight"].t())
                           .unflatten(-1, {-1, model.head_dim})
                           .split_with_sizes({model.num_attention_heads, model.num_key_value_heads,
                                              model.num_key_value_heads},
                                             2);
    const auto group = model.num_attention_heads / model.num_key_value_heads;
    const auto position = torch::arange(x.size(1));
    const auto distance = position.unsqueeze(1) - position;
    const bool is_local = model.layers[i] == LayerKind::local;
    auto hidden = distance < 0;
    if (is_local) hidden = hidden.logical_or(distance > model.window_size);
    const auto scores =
        (torch::einsum("bthd,bshd->bhts",
                       {rotated(parts[0]), rotated(parts[1]).repeat_interleave(group, 2)}) /
         std::sqrt(static_cast<double>(model.head_dim)))
            .masked_fill(hidden, -std::numeric_limits<double>::infinity());
    const auto attended = torch::einsum(
        "bhts,bshd->bthd", {torch::softmax(scores, -1), parts[2].repeat_interleave(group, 2)});
    const auto between =
        x + attended.flatten(2).matmul(weights_[name + "attention.output_weight"].t());
    const auto gate_up = norm(between, name + "feed_forward_norm.weight")
                             .matmul(weights_[name + "feed_forward.gate_up_weight"].t())
                             .chunk(2, -1);
    const auto out = between + (torch::silu(gate_up[0]) * gate_up[1])
                                   .matmul(weights_[name + "feed_forward.down_weight"].t());

    const auto log_sum = torch::logsumexp(scores, -1);
    const auto keys = hidden.logical_not().sum(-1).to(torch::kFloat64);
    layers_.push_back({WeightHealth{}, model.layers[i], out.square().mean().sqrt().item<double>(),
                       (log_sum - keys.log()).max().item<double>(), log_sum.max().item<double>()});
    largest_logits_.push_back(scores.max().item<double>());
    return out;
  }

  // AdamW's first update is lr (g / (|g| + eps) + decay w).
  WeightHealth of_weights(const std::string& prefix, const std::string& other = "none") {
    double gradient = 0.0, weight = 0.0, update = 0.0, elements = 0.0;
    for (const auto& [name, w] : weights_) {
      if (!name.starts_with(prefix) && !name.starts_with(other)) continue;
      const auto g = w.grad(), detached = w.detach();
      const double decay = w.dim() > 1 ? config_.optimizer.weight_decay : 0.0;
      const auto change = (g / (g.abs() + config_.optimizer.eps) + decay * detached) * kMeterRate;
      gradient += g.square().sum().item<double>();
      weight += detached.square().sum().item<double>();
      update += change.square().sum().item<double>();
      elements += static_cast<double>(w.numel());
    }
    return {std::sqrt(gradient), std::sqrt(weight / elements), std::sqrt(update / elements)};
  }

  Config config_;
  std::map<std::string, torch::Tensor> weights_;
  std::vector<LayerHealth::Layer> layers_;
  std::vector<double> largest_logits_;
  torch::Tensor log_z_;
};

void require_close_weights(const WeightHealth& actual, const WeightHealth& exact) {
  REQUIRE(actual.grad_norm == Approx(exact.grad_norm).epsilon(1e-4));
  REQUIRE(actual.weight_rms == Approx(exact.weight_rms).epsilon(1e-5));
  REQUIRE(actual.update_rms == Approx(exact.update_rms).epsilon(1e-3));
  REQUIRE(actual.update_rms > 0.1 * kMeterRate);
}

void require_close_health(const LayerHealth& actual, const LayerHealth& exact) {
  REQUIRE(actual.layers.size() == exact.layers.size());
  for (std::size_t i = 0; i < exact.layers.size(); ++i) {
    INFO("layer " << i);
    const auto &layer = actual.layers[i], &expected = exact.layers[i];
    require_close_weights(layer, expected);
    REQUIRE(layer.kind == expected.kind);
    REQUIRE(layer.activation_rms == Approx(expected.activation_rms).epsilon(1e-5));
    REQUIRE(layer.attention_logit_lower == Approx(expected.attention_logit_lower).epsilon(1e-4));
    REQUIRE(layer.attention_logit_upper == Approx(expected.attention_logit_upper).epsilon(1e-4));
  }
  require_close_weights(actual.embedding, exact.embedding);
  REQUIRE(actual.heads.size() == exact.heads.size());
  for (std::size_t i = 0; i < exact.heads.size(); ++i)
    require_close_weights(actual.heads[i], exact.heads[i]);
  REQUIRE(actual.log_z_rms == Approx(exact.log_z_rms).epsilon(1e-5));
  REQUIRE(actual.log_z_max == Approx(exact.log_z_max).epsilon(1e-5));
}

TEST_CASE("the health of layers is that of a float64 step, on 1, 2 and 4 ranks") {
  struct Case {
    int ranks, replicas;
    Sharding sharding;
    bool tied = false;
    ActivationCheckpointing checkpointing = ActivationCheckpointing::none;
    int sharing = 1;
  };
  const auto test = GENERATE(
      Case{1, 1, Sharding::none}, Case{1, 1, Sharding::none, true, ActivationCheckpointing::full},
      Case{2, 2, Sharding::none, false, ActivationCheckpointing::selective},
      Case{2, 1, Sharding::optimizer}, Case{4, 1, Sharding::full, true},
      Case{4, 2, Sharding::gradients, false, ActivationCheckpointing::every_2},
      Case{2, 2, Sharding::none, false, ActivationCheckpointing::none, 2},
      Case{4, 1, Sharding::full, true, ActivationCheckpointing::selective, 2});
  INFO(test.ranks << " ranks, " << test.replicas << " replicas, " << name_of(test.sharding)
                  << ", sequences shared by " << test.sharing);
  const auto config = measured_run(test.tied, test.sharding);
  ExactStep exact(config);
  const auto expected = exact.health();
  std::vector<LayerHealth> measured(static_cast<std::size_t>(test.ranks));
  run_on_ranks(
      test.ranks, test.replicas,
      [&](TestRank& own) {
        measured[static_cast<std::size_t>(own.rank)] =
            measured_step(config, test.checkpointing, own);
      },
      test.sharing);
  for (const auto& health : measured) require_close_health(health, expected);
  for (std::size_t i = 0; i < expected.layers.size(); ++i) {
    REQUIRE(measured[0].layers[i].attention_logit_lower <= exact.largest_logits()[i] + 1e-4);
    REQUIRE(measured[0].layers[i].attention_logit_upper >= exact.largest_logits()[i] - 1e-4);
    REQUIRE(exact.largest_logits()[i] > 1.0);
  }
}

TEST_CASE("a measured step computes the bits of one that is not") {
  const auto checkpointing =
      GENERATE(ActivationCheckpointing::none, ActivationCheckpointing::selective);
  const auto config = measured_run(false, Sharding::none);
  const auto sentences = make_sentences(config.model.vocab_size);
  const auto gradients = [&](LayerStatistics* statistics) {
    ZebraModel model(config.model);
    model->initialize(kMeterSeed);
    model->set_activation_checkpointing(checkpointing);
    model->set_statistics(statistics);
    model->loss(sentences.tokens, sentences.targets).objective.backward();
    std::vector<torch::Tensor> all;
    for (const auto& parameter : model->parameters()) all.push_back(parameter.grad().flatten());
    return torch::cat(all);
  };
  LayerStatistics statistics(config.model.layers.size(), torch::kCPU);
  REQUIRE(same_bits(gradients(&statistics), gradients(nullptr)));
  REQUIRE(statistics.sums().min().item<double>() > 0.0);
}

}  // namespace
}  // namespace zebra
