#include "model/unit_pass.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

using Events = std::vector<std::string>;

struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Writes down what it hears; throws at the event `fault`.
struct Recorder : UnitObserver {
  Events events;
  std::string fault;

  void hear(const std::string& event) {
    events.push_back(event);
    if (event == fault) throw Fault(event);
  }
  void before_forward(std::size_t unit) override { hear("forward " + std::to_string(unit)); }
  void after_forward(std::size_t unit) override { hear("left " + std::to_string(unit)); }
  void before_backward(std::size_t unit, bool reads_weights) override {
    hear("backward " + std::to_string(unit) + (reads_weights ? "" : " without weights"));
  }
  void after_backward(std::size_t unit) override { hear("done " + std::to_string(unit)); }
};

// A unit with a float32 and a bfloat16 parameter, whose gradients are views of a float32 buffer.
struct Unit {
  torch::Tensor weight = torch::randn({6, 6}, generator()).set_requires_grad(true);
  torch::Tensor scale = torch::randn({6}, generator()).to(torch::kBFloat16).set_requires_grad(true);
  torch::Tensor gradients = torch::zeros({42});

  Unit() {
    weight.mutable_grad() = gradients.narrow(0, 0, 36).view({6, 6});
    scale.mutable_grad() = gradients.narrow(0, 36, 6);
  }

  torch::Tensor operator()(const torch::Tensor& x) const {
    return x + torch::tanh(torch::linear(x, weight)) * scale;
  }

 private:
  static at::Generator generator() { return at::detail::createCPUGenerator(5); }
};

struct Gradients {
  std::vector<torch::Tensor> outputs, of_input, of_parameters;
};

// Two micro-batches through two units, each pass of which is as `pass` says; plain calls without.
Gradients gradients_with(const std::optional<UnitPass>& pass) {
  const auto generator = at::detail::createCPUGenerator(6);
  std::vector<Unit> units(2);
  Gradients result;
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
    const auto input = torch::randn({3, 6}, generator).set_requires_grad(true);
    auto x = input * 2.0;
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (pass) {
        UnitPass own = *pass;
        own.unit = i;
        x = run_unit(own, x, units[i]);
      } else {
        x = units[i](x);
      }
    }
    x.square().sum().backward();
    result.outputs.push_back(x.detach());
    result.of_input.push_back(input.grad());
  }
  for (const auto& unit : units) result.of_parameters.push_back(unit.gradients);
  return result;
}

bool same_tensors(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
}

TEST_CASE("a unit's gradients are the same bits as without it, recomputed or not") {
  const auto expected = gradients_with(std::nullopt);
  Recorder recorder;
  const bool observed = GENERATE(false, true), recompute = GENERATE(false, true);
  const auto actual = gradients_with(
      UnitPass{.unit = 0, .observer = observed ? &recorder : nullptr, .recompute = recompute});
  REQUIRE(same_tensors(actual.outputs, expected.outputs));
  REQUIRE(same_tensors(actual.of_input, expected.of_input));
  REQUIRE(same_tensors(actual.of_parameters, expected.of_parameters));
  REQUIRE((expected.of_parameters[0] != 0).all().item<bool>());
}

TEST_CASE("the observer is called around forward and backward, in their order") {
  const bool recompute = GENERATE(false, true);
  Recorder recorder;
  const auto weight = torch::ones({}).set_requires_grad(true);
  const auto use = [&](std::size_t unit, bool reads_weights, const torch::Tensor& x) {
    return run_unit(
        {unit, "unit", &recorder, recompute, reads_weights}, x, [&](const torch::Tensor& in) {
          recorder.events.push_back(torch::GradMode::is_enabled() ? "body"
                                                                  : "body without gradients");
          return in.defined() ? in * weight : weight * 2.0;
        });
  };
  const auto loss = use(7, true, use(4, false, {}));
  const std::string first = recompute ? "body without gradients" : "body";
  REQUIRE(recorder.events == Events{"forward 4", first, "left 4", "forward 7", first, "left 7"});

  recorder.events.clear();
  loss.backward();
  REQUIRE(recorder.events ==
          (recompute ? Events{"backward 7", "body", "done 7", "backward 4 without weights", "body",
                              "done 4"}
                     : Events{"backward 7", "done 7", "backward 4 without weights", "done 4"}));
  REQUIRE(weight.grad().item<float>() == 4.0F);  // of 2 w^2 at 1
}

TEST_CASE("a unit's gradients are complete when its backward pass is done") {
  struct Reader : Recorder {
    torch::Tensor weight;
    std::vector<float> seen;
    void after_backward(std::size_t) override { seen.push_back(weight.grad().item<float>()); }
  } reader;
  reader.weight = torch::full({}, 3.0F).set_requires_grad(true);
  const auto times_weight = [&](const torch::Tensor& x) { return x * reader.weight; };
  const bool recompute = GENERATE(false, true);
  auto x = torch::ones({});
  for (std::size_t use = 0; use < 2; ++use)
    x = run_unit({.unit = use, .observer = &reader, .recompute = recompute}, x, times_weight);
  x.backward();
  REQUIRE(reader.seen == std::vector<float>{3.0F, 6.0F});
}

TEST_CASE("recomputation keeps no activations, and nothing is kept after the backward pass") {
  const bool recompute = GENERATE(false, true);
  Recorder recorder;
  const auto leaf = torch::ones({2, 6}).set_requires_grad(true);
  const auto weight = torch::ones({6, 6}).set_requires_grad(true);
  std::optional<c10::weak_intrusive_ptr<c10::StorageImpl>> input, activation;
  std::weak_ptr<int> captured;
  const auto output = [&] {
    const auto x = leaf * 2.0;
    const auto shared = std::make_shared<int>();
    input = x.storage().getWeakStorageImpl();
    captured = shared;
    return run_unit({.unit = 0, .observer = &recorder, .recompute = recompute}, x,
                    [&, shared](const torch::Tensor& in) {
                      const auto product = torch::linear(in, weight);
                      activation = product.storage().getWeakStorageImpl();
                      return product.square().sum();
                    });
  }();
  REQUIRE_FALSE(input->expired());
  REQUIRE(activation->expired() == recompute);
  REQUIRE(captured.expired() == !recompute);
  output.backward();
  REQUIRE(input->expired());
  REQUIRE(activation->expired());
  REQUIRE(captured.expired());
}

TEST_CASE("without gradients a unit is a plain call that the observer hears of") {
  Recorder recorder;
  const Unit unit;
  const auto x = torch::ones({2, 6}).set_requires_grad(true);
  const auto expected = unit(x).detach();
  const torch::NoGradGuard no_grad;
  const auto output = run_unit({.unit = 2, .observer = &recorder, .recompute = true}, x, unit);
  REQUIRE(output.grad_fn() == nullptr);
  REQUIRE_FALSE(output.requires_grad());
  REQUIRE(same_bits(output, expected));
  REQUIRE(recorder.events == Events{"forward 2", "left 2"});
}

TEST_CASE("a unit whose input needs no gradient gives those of its parameters") {
  const bool recompute = GENERATE(false, true);
  const Unit unit;
  const auto output = run_unit({.unit = 0, .recompute = recompute}, torch::ones({2, 6}), unit);
  output.sum().backward();
  REQUIRE((unit.gradients != 0).all().item<bool>());
}

TEST_CASE("what the body or the observer throws comes through as it is") {
  const bool recompute = GENERATE(false, true);
  const auto weight = torch::ones({}).set_requires_grad(true);
  const auto run = [&](const std::string& fault, int faulty_run) {
    Recorder recorder;
    recorder.fault = fault;
    int runs = 0;
    run_unit({.unit = 0, .observer = &recorder, .recompute = recompute}, weight * 1.0,
             [&](const torch::Tensor& x) {
               if (++runs == faulty_run) throw Fault("body");
               return x * weight;
             })
        .backward();
  };
  REQUIRE_NOTHROW(run("", 0));
  REQUIRE_THROWS_AS(run("", 1), Fault);
  if (recompute) REQUIRE_THROWS_AS(run("", 2), Fault);
  for (const std::string event : {"forward 0", "left 0", "backward 0", "done 0"})
    REQUIRE_THROWS_AS(run(event, 0), Fault);
}

}  // namespace
}  // namespace zebra
