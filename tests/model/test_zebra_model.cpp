#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/functional/loss.h>
#include <torch/serialize.h>

#include "model/zebra_model.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <sstream>

#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

torch::Tensor random_tokens(std::int64_t batch, std::int64_t length) {
  return torch::randint(53, {batch, length}, torch::kInt64);
}

ZebraModel made(const ModelConfig& section, std::int64_t seed = 11) {
  ZebraModel model(section);
  model->initialize(seed);
  return model;
}

// Trained sinks differ from head to head.
void set_sinks(ZebraModel& model) {
  const torch::NoGradGuard no_grad;
  for (auto& block : model->blocks) {
    auto& sink = block->attention->sink;
    if (sink.defined()) sink.copy_(torch::linspace(-1.0, 2.0, sink.numel()));
  }
}

// Targets of which some do not count.
torch::Tensor random_targets(std::int64_t batch, std::int64_t length) {
  auto targets = random_tokens(batch, length);
  targets[1].slice(0, 3, 9).fill_(kIgnoredTarget);
  return targets;
}

// LibTorch's, from logits of all tokens at once.
torch::Tensor dense_cross_entropy(
    ZebraModel& model, const torch::Tensor& tokens, const torch::Tensor& targets,
    const PackedDocuments& documents,
    torch::nn::functional::CrossEntropyFuncOptions::reduction_t reduction) {
  const auto logits = model->logits(model->forward(tokens, documents)).flatten(0, 1);
  const auto options = torch::nn::functional::CrossEntropyFuncOptions()
                           .ignore_index(kIgnoredTarget)
                           .reduction(reduction);
  return torch::nn::functional::cross_entropy(logits, targets.flatten(), options);
}

TEST_CASE("no token sees later ones, in any layout") {
  torch::manual_seed(1);
  const auto pattern = GENERATE(as<std::string>{}, "GG", "LL", "GLLL", "LLG", "LGLG");
  auto model = made(small_model(pattern));
  auto tokens = random_tokens(2, 30);
  const torch::NoGradGuard no_grad;
  const auto before = model->forward(tokens);
  tokens[0][17] = (tokens[0][17] + 1) % 53;
  const auto after = model->forward(tokens);
  REQUIRE(same_bits(after[1], before[1]));
  REQUIRE(same_bits(after[0].slice(0, 0, 17), before[0].slice(0, 0, 17)));
  REQUIRE_FALSE(torch::equal(after[0][17], before[0][17]));
}

TEST_CASE("local layers alone reach layers x window tokens back, not one more") {
  torch::manual_seed(2);
  const std::int64_t window = 3, reach = 4 * window;
  auto model = made(small_model("LLLL", window));
  auto tokens = random_tokens(1, 40);
  const torch::NoGradGuard no_grad;
  const auto before = model->forward(tokens);
  tokens[0][10] = (tokens[0][10] + 1) % 53;
  const auto changed = (model->forward(tokens) - before)[0].abs().amax(-1) > 0;
  REQUIRE(changed[10 + reach].item<bool>());
  REQUIRE_FALSE(changed.slice(0, 10 + reach + 1).any().item<bool>());
}

TEST_CASE("a smaller window is that of a model made with it, in training and generation") {
  torch::manual_seed(12);
  auto wide = made(small_model("LGL", 7)), narrow = made(small_model("LGL", 2));
  const auto tokens = random_tokens(2, 23);
  const torch::NoGradGuard no_grad;
  REQUIRE_FALSE(torch::equal(wide->forward(tokens), narrow->forward(tokens)));
  wide->set_window(2);
  REQUIRE(same_bits(wide->forward(tokens), narrow->forward(tokens)));
  const auto next_after = [&](ZebraModel& model) {
    auto cache = model->make_cache(40);
    model->forward_cached(tokens, cache);
    return model->forward_cached(tokens.slice(1, 0, 1), cache);
  };
  REQUIRE(same_bits(next_after(wide), next_after(narrow)));
}

TEST_CASE("a packed document is what it is alone") {
  torch::manual_seed(3);
  const auto pattern = GENERATE(as<std::string>{}, "GG", "LL", "GLLG");
  auto model = made(small_model(pattern));
  const auto tokens = random_tokens(2, 31);
  const torch::NoGradGuard no_grad;
  const auto packed = model->forward(tokens, PackedDocuments::from_starts({{1, 12}, {30}}, 31));
  require_close(packed[0].slice(0, 12), model->forward(tokens.slice(0, 0, 1).slice(1, 12))[0],
                1e-5);
  require_close(packed[0].slice(0, 1, 12), model->forward(tokens.slice(0, 0, 1).slice(1, 1, 12))[0],
                1e-5);
  require_close(packed[1].slice(0, 30), model->forward(tokens.slice(0, 1, 2).slice(1, 30))[0],
                1e-5);
}

TEST_CASE("cached generation equals the whole prefix each time") {
  torch::manual_seed(4);
  const auto pattern = GENERATE(as<std::string>{}, "GG", "LL", "GLLL", "LLG");
  auto section = small_model(pattern);
  const auto scaling =
      GENERATE(RopeScaling::none, RopeScaling::dynamic, RopeScaling::yarn, RopeScaling::llama3);
  if (scaling != RopeScaling::none) {
    section.rope_scaling.type = scaling;
    section.rope_scaling.factor = 2.0;
    section.rope_scaling.original_max_position_embeddings = 8;
  }
  section.global_rope_theta = 50000.0;
  section = with_options(section, GENERATE(ModelOptions::none, ModelOptions::heads_normed,
                                           ModelOptions::projections_normed));
  auto model = made(section);
  set_sinks(model);
  const torch::NoGradGuard no_grad;
  const auto prompt_length = GENERATE(1, 4, 9);
  const std::int64_t longest = prompt_length + 20;
  auto cache = model->make_cache(longest);
  auto tokens = random_tokens(1, prompt_length);
  auto hidden = model->forward_cached(tokens, cache);
  for (int step = 0; step < 20; ++step) {
    const auto context =
        make_sequence_context(section, tokens.size(1), torch::kCPU, {}, 0, longest);
    auto x = model->embedding_weight.index_select(0, tokens[0]).unsqueeze(0);
    for (auto& block : model->blocks) x = block->forward(x, context);
    require_close(hidden[0][-1], model->final_norm->forward(x)[0][-1], 2e-5);
    const auto next = random_tokens(1, 1);
    tokens = torch::cat({tokens, next}, 1);
    hidden = model->forward_cached(next, cache);
  }
}

TEST_CASE("texts of several lengths go on together as each does alone") {
  torch::manual_seed(5);
  auto section = small_model(GENERATE(as<std::string>{}, "GG", "LL", "GLLL"), 4);
  const auto scaling = GENERATE(RopeScaling::none, RopeScaling::dynamic);
  if (scaling != RopeScaling::none) {
    section.rope_scaling.type = scaling;
    section.rope_scaling.factor = 2.0;
    section.rope_scaling.original_max_position_embeddings = 8;
  }
  section.attention_sink = GENERATE(AttentionSink::none, AttentionSink::local, AttentionSink::all);
  auto model = made(section);
  set_sinks(model);
  const torch::NoGradGuard no_grad;
  const std::vector<std::int64_t> lengths = {9, 1, 3};
  std::vector<ModelCache> together, alone;
  for (const auto length : lengths) {
    const auto prompt = random_tokens(1, length);
    for (auto* caches : {&together, &alone}) {
      caches->push_back(model->make_cache(length + 12));
      model->forward_cached(prompt, caches->back());
    }
  }
  for (int step = 0; step < 12; ++step) {
    // The second text ends, and another row was never one.
    std::vector<ModelCache*> rows = {&together[0], nullptr, &together[1], &together[2]};
    if (step > 5) rows[2] = nullptr;
    const auto next = random_tokens(4, 1);
    const auto hidden = model->forward_cached(next, rows);
    REQUIRE(hidden.isfinite().all().item<bool>());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (rows[row] == nullptr) continue;
      auto& own = alone[static_cast<std::size_t>(rows[row] - together.data())];
      const auto index = static_cast<std::int64_t>(row);
      const auto expected = model->forward_cached(next.slice(0, index, index + 1), own);
      require_close(hidden[index], expected[0], 2e-5);
    }
  }
  REQUIRE(together[1].position == 1 + 6);
  REQUIRE(together[2].position == 3 + 12);
}

TEST_CASE("caches of local layers stop growing at the window") {
  auto model = made(small_model("GLLL", 5));
  auto cache = model->make_cache(50);
  const torch::NoGradGuard no_grad;
  model->forward_cached(random_tokens(1, 30), cache);
  const std::int64_t per_token = 2 * 2 * 6 * 4;
  std::int64_t bytes = 0;
  for (const auto& layer : cache.layers) {
    bytes += static_cast<std::int64_t>(layer.keys().storage().nbytes() +
                                       layer.values().storage().nbytes());
  }
  REQUIRE(bytes == per_token * (50 + 3 * 6));
}

TEST_CASE("the loss is the mean cross-entropy of the logits") {
  torch::manual_seed(6);
  auto section = small_model();
  section.tie_word_embeddings = GENERATE(true, false);
  auto model = made(section);
  const auto tokens = random_tokens(3, 21);
  const auto targets = random_targets(3, 21);
  const auto sums = model->loss(tokens, targets);
  require_close(sums.objective, dense_cross_entropy(model, tokens, targets, {}, torch::kSum), 1e-3);
}

TEST_CASE("the whole model's gradient agrees with finite differences") {
  torch::manual_seed(7);
  auto model = made(small_model("GLG", 4));
  model->to(torch::kFloat32);
  const auto tokens = random_tokens(2, 14), targets = random_tokens(2, 14);
  const auto documents = PackedDocuments::from_starts({{5}, {2, 9}}, 14);
  for (auto& unit : model->units()) {
    auto parameter = unit.parameters[0].tensor;
    const auto original = parameter.detach().clone();
    const auto gradient =
        torch::autograd::grad({model->loss(tokens, targets, documents).objective}, {parameter})[0];
    const torch::NoGradGuard no_grad;
    // Along the gradient itself the difference is largest beside float32 rounding.
    const auto direction = gradient / gradient.norm();
    const auto loss_at = [&](double step) {
      parameter.copy_(original + step * direction);
      return model->loss(tokens, targets, documents).objective.item<double>();
    };
    const double step = 0.02, numeric = (loss_at(step) - loss_at(-step)) / (2 * step);
    parameter.copy_(original);
    REQUIRE(numeric == Approx(gradient.norm().item<double>()).epsilon(0.02));
  }
}

TEST_CASE("activation checkpointing changes no bit of loss and gradients") {
  torch::manual_seed(9);
  auto section = small_model("GLLGL");
  section.tie_word_embeddings = GENERATE(true, false);
  section = with_options(section, GENERATE(ModelOptions::none, ModelOptions::heads_normed,
                                           ModelOptions::projections_normed));
  const bool is_packed = GENERATE(false, true);
  const auto tokens = random_tokens(2, 23), targets = random_tokens(2, 23);
  const auto documents =
      is_packed ? PackedDocuments::from_starts({{6, 7}, {15}}, 23) : PackedDocuments();
  const auto gradients_with = [&](ActivationCheckpointing mode) {
    auto model = made(section);
    model->set_activation_checkpointing(mode);
    const auto loss = model->loss(tokens, targets, documents).objective;
    loss.backward();
    std::vector<torch::Tensor> results = {loss.detach()};
    for (const auto& parameter : model->parameters()) results.push_back(parameter.grad());
    return results;
  };
  const auto expected = gradients_with(ActivationCheckpointing::none);
  const auto actual =
      gradients_with(GENERATE(ActivationCheckpointing::full, ActivationCheckpointing::selective,
                              ActivationCheckpointing::every_2));
  REQUIRE(std::equal(actual.begin(), actual.end(), expected.begin(), expected.end(), same_bits));
}

// How often the dispatcher runs the operator `name` during a loss and its backward pass.
std::int64_t calls_in_loss(const std::string& name, ActivationCheckpointing mode) {
  auto model = made(small_model("GLLGL"));
  model->set_activation_checkpointing(mode);
  const auto tokens = random_tokens(1, 9);
  static std::int64_t calls;
  static std::string counted;
  calls = 0;
  counted = name;
  const auto handle =
      at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& call) {
                              calls += call.name() == counted;
                              return std::unique_ptr<at::ObserverContext>();
                            }).scopes({at::RecordScope::FUNCTION}));
  model->loss(tokens, tokens).objective.backward();
  at::removeCallback(handle);
  return calls;
}

TEST_CASE("activation checkpointing computes again what it is meant to") {
  const std::string attention = "zebra::packed_local_attention_forward", projection = "aten::mm";
  const auto more_calls = [](const std::string& name, ActivationCheckpointing mode) {
    return calls_in_loss(name, mode) - calls_in_loss(name, ActivationCheckpointing::none);
  };
  REQUIRE(calls_in_loss(attention, ActivationCheckpointing::none) == 5);
  REQUIRE(more_calls(attention, ActivationCheckpointing::full) == 5);
  REQUIRE(more_calls(projection, ActivationCheckpointing::full) == 5 * 4);
  REQUIRE(more_calls(attention, ActivationCheckpointing::selective) == 0);
  REQUIRE(more_calls(projection, ActivationCheckpointing::selective) == 5 * 4);
  REQUIRE(more_calls(attention, ActivationCheckpointing::every_2) == 3);  // layers 0, 2, 4
  REQUIRE(more_calls(projection, ActivationCheckpointing::every_2) == 3 * 4);
}

TEST_CASE("token losses are the cross-entropy of each target") {
  torch::manual_seed(10);
  auto section = small_model();
  section.tie_word_embeddings = GENERATE(true, false);
  auto model = made(section);
  const auto tokens = random_tokens(3, 21);
  const auto targets = random_targets(3, 21);
  const auto documents = PackedDocuments::from_starts({{}, {4, 11}, {20}}, 21);
  const auto losses = model->token_losses(tokens, targets, documents);
  const auto expected =
      dense_cross_entropy(model, tokens, targets, documents, torch::kNone).view({3, 21});
  REQUIRE_FALSE(losses.requires_grad());
  require_close(losses, expected, 1e-5);
}

TEST_CASE("a block works alone: clone, save, load, to") {
  torch::manual_seed(8);
  const auto section = small_model("GL");
  Block block(section, 1);
  initialize_weights(block->unit(), 5);
  const auto x = torch::randn({2, 19, 24});
  const auto expected = block->forward(x).detach();

  const auto clone = std::dynamic_pointer_cast<BlockImpl>(block->clone());
  REQUIRE(same_bits(clone->forward(x).detach(), expected));
  {
    const torch::NoGradGuard no_grad;
    clone->feed_forward->down_weight.zero_();
  }
  REQUIRE(same_bits(block->forward(x).detach(), expected));

  std::stringstream stream;
  torch::save(block, stream);
  Block loaded(section, 1);
  torch::load(loaded, stream);
  REQUIRE(same_bits(loaded->forward(x).detach(), expected));

  loaded->to(torch::kBFloat16);
  require_close(loaded->forward(x.to(torch::kBFloat16)), expected, 0.1);
}

TEST_CASE("a model's clone is independent and equal") {
  auto model = made(small_model());
  const auto tokens = random_tokens(1, 12);
  const auto clone = std::dynamic_pointer_cast<ZebraModelImpl>(model->clone());
  REQUIRE(same_bits(clone->forward(tokens).detach(), model->forward(tokens).detach()));
  REQUIRE_FALSE(clone->embedding_weight.is_alias_of(model->embedding_weight));
}

}  // namespace
}  // namespace zebra
