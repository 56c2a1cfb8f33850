#include "zebra_kernels/adamw.h"

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

struct AdamwRun {
  explicit AdamwRun(const AdamwInputs& in)
      : inputs(in),
        gradients(ElementType::kFloat32, in.gradients),
        weights(ElementType::kFloat32, in.size),
        first_moments(ElementType::kFloat32, in.size),
        second_moments(ElementType::kFloat32, in.size),
        rounded(ElementType::kBfloat16, in.size) {
    fill(weights, in.weights);
    fill(first_moments, in.first_moments);
    fill(second_moments, in.second_moments);
  }

  AdamwUpdate arguments() {
    AdamwUpdate a;
    a.size = inputs.size;
    a.decayed_size = inputs.decayed_size;
    a.gradients = static_cast<const float*>(gradients.data());
    a.weights = static_cast<float*>(weights.data());
    a.first_moments = static_cast<float*>(first_moments.data());
    a.second_moments = static_cast<float*>(second_moments.data());
    a.rounded = rounded.data();
    a.lr = inputs.lr;
    a.beta1 = inputs.beta1;
    a.beta2 = inputs.beta2;
    a.eps = inputs.eps;
    a.weight_decay = inputs.weight_decay;
    a.step = &inputs.step;
    return a;
  }
  void with(const ParallelFor& parallel_for, InstructionSet set) {
    adamw_update(arguments(), parallel_for, set);
  }
  std::string errors(const AdamwResults& naive, const AdamwResults& exact) {
    const auto count = at(inputs.size);
    const auto single = ElementType::kFloat32;
    std::string text =
        errors_of_rows("weights", values_of(weights, count), naive.weights, exact.weights, single,
                       inputs.size) +
        errors_of_rows("first_moments", values_of(first_moments, count), naive.first_moments,
                       exact.first_moments, single, inputs.size) +
        errors_of_rows("second_moments", values_of(second_moments, count), naive.second_moments,
                       exact.second_moments, single, inputs.size);
    for (std::int64_t i = 0; i < inputs.size; ++i)
      if (rounded.get(i) != testing::rounded(weights.get(i), ElementType::kBfloat16))
        return text + "rounded[" + std::to_string(i) + "] is not the rounded weight; ";
    for (const auto* buffer : {&weights, &first_moments, &second_moments, &rounded})
      if (!buffer->guards_untouched()) text += "wrote outside an output; ";
    return text;
  }
  bool same_bits(const AdamwRun& other) const {
    return weights == other.weights && first_moments == other.first_moments &&
           second_moments == other.second_moments && rounded == other.rounded;
  }

  const AdamwInputs& inputs;
  Input gradients;
  Buffer weights, first_moments, second_moments, rounded;
};

TEST_CASE("AdamW is as exact as its definition in float32") {
  for (const std::int64_t size : {1, 3, 8, 15, 16, 17, 100, 2047, 2048, 2049, 10007}) {
    for (const std::int64_t decayed_size : {std::int64_t{0}, size / 3, size}) {
      const AdamwInputs in(size, decayed_size, static_cast<std::uint64_t>(size));
      const auto exact = adamw_reference<double>(in), naive = adamw_reference<float>(in);
      for (const auto set : supported_sets()) {
        INFO(instruction_set_name(set) << " " << decayed_size << " of " << size);
        AdamwRun run(in);
        run.with(serial, set);
        CHECK(run.errors(naive, exact) == "");
      }
    }
  }
}

TEST_CASE("AdamW rounds weights to bfloat16 to nearest even, whatever they are") {
  // No gradient, no moments, no decay: the weights stay.
  AdamwInputs in(4099, 0, 1);
  in.gradients = in.first_moments = in.second_moments = Values(4099);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 4099; ++i) {
    // All exponents and signs; lower halves at a tie, beside one, and anywhere.
    bits += 0x9e3779b9U;
    const std::uint32_t lower[] = {0x8000, 0x7fff, 0x8001, 0, bits & 0xffffU};
    const std::uint32_t pattern = (bits & 0xffff0000U) | lower[i % 5];
    float weight;
    std::memcpy(&weight, &pattern, 4);
    in.weights[i] = weight;
  }
  in.weights[7] = std::numeric_limits<double>::infinity();
  in.weights[8] = std::nan("");
  in.weights[9] = std::numeric_limits<float>::max();
  // A NaN whose bits, counted up by the rounding, would be those of -0 or 0.
  const std::uint32_t full[] = {0x7fffffff, 0xffffffff};
  for (std::size_t i = 0; i < 2; ++i) {
    float weight;
    std::memcpy(&weight, &full[i], 4);
    in.weights[10 + i] = weight;
  }
  for (const auto set : supported_sets()) {
    INFO(instruction_set_name(set));
    AdamwRun run(in);
    run.with(serial, set);
    for (std::int64_t i = 0; i < in.size; ++i) {
      const double expected = rounded(in.weights[at(i)], ElementType::kBfloat16);
      INFO(in.weights[at(i)]);
      CHECK(
          (std::isnan(expected) ? std::isnan(run.rounded.get(i)) : run.rounded.get(i) == expected));
    }
  }
}

TEST_CASE("a skipped step of AdamW writes nothing") {
  AdamwInputs in(100, 50, 3);
  in.step.applies = 0;
  for (const auto set : supported_sets()) {
    AdamwRun run(in);
    run.with(serial, set);
    CHECK(run.same_bits(AdamwRun(in)));
  }
}

TEST_CASE("a non-finite gradient reaches its own element of AdamW alone") {
  AdamwInputs in(100, 50, 3);
  in.gradients[37] = std::nan("");
  for (const auto set : supported_sets()) {
    AdamwRun run(in);
    run.with(serial, set);
    for (std::int64_t i = 0; i < 100; ++i) CHECK(std::isnan(run.weights.get(i)) == (i == 37));
  }
}

TEST_CASE("AdamW gives the same bits again, on any number of threads, and without rounding") {
  const AdamwInputs in(30011, 12345, 9);
  for (const auto set : supported_sets()) {
    AdamwRun first(in);
    first.with(serial, set);
    check_any_threads(first, in, set);
    AdamwRun without(in);
    auto arguments = without.arguments();
    arguments.rounded = nullptr;
    adamw_update(arguments, serial, set);
    CHECK(without.weights == first.weights);
    CHECK(without.first_moments == first.first_moments);
    CHECK(without.second_moments == first.second_moments);
  }
}

TEST_CASE("AdamW refuses what it cannot do") {
  const AdamwInputs in(10, 5, 1);
  AdamwRun run(in);
  const auto refuse = refusal_of(adamw_update, [&] { return run.arguments(); });
  refuse([](auto& a) { a.size = -1, a.decayed_size = -1; });
  refuse([](auto& a) { a.decayed_size = 11; });
  refuse([](auto& a) { a.decayed_size = -1; });
  refuse([](auto& a) { a.gradients = nullptr; });
  refuse([](auto& a) { a.weights = nullptr; });
  refuse([](auto& a) { a.first_moments = nullptr; });
  refuse([](auto& a) { a.second_moments = nullptr; });
  refuse([](auto& a) { a.step = nullptr; });
  CHECK(run.same_bits(AdamwRun(in)));
}

}  // namespace
}  // namespace zebra::kernels::testing
