#include "zebra_kernels/cross_entropy.h"

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

struct CrossEntropyRun {
  explicit CrossEntropyRun(const CrossEntropyInputs& in)
      : inputs(in),
        logits(in.type, in.logits),
        cross_entropy(ElementType::kFloat32, in.rows),
        log_sum_exp(ElementType::kFloat32, in.rows),
        gradient(in.type, in.rows * in.vocabulary) {}

  CrossEntropy arguments() {
    CrossEntropy a;
    a.rows = inputs.rows;
    a.vocabulary = inputs.vocabulary;
    a.type = inputs.type;
    a.logits = logits.data();
    a.targets = inputs.targets.data();
    a.z_loss = inputs.z_loss;
    a.cross_entropy = static_cast<float*>(cross_entropy.data());
    a.log_sum_exp = static_cast<float*>(log_sum_exp.data());
    a.gradient = gradient.data();
    return a;
  }
  void with(const ParallelFor& parallel_for, InstructionSet set) {
    kernels::cross_entropy(arguments(), parallel_for, set);
  }
  std::string errors(const CrossEntropyResults& naive, const CrossEntropyResults& exact) {
    const auto rows = at(inputs.rows);
    auto actual = values_of(gradient, exact.gradient.size());
    Values of_targets(rows);
    for (std::size_t row = 0; row < rows; ++row)
      if (inputs.targets[row] != kNoTarget)
        std::swap(of_targets[row], actual[row * at(inputs.vocabulary) + at(inputs.targets[row])]);
    const auto single = ElementType::kFloat32;
    std::string text =
        errors_of_rows("gradient", actual, naive.gradient, exact.gradient, inputs.type,
                       inputs.vocabulary) +
        errors_of_rows("gradient of a target", of_targets, naive.of_targets, exact.of_targets,
                       inputs.type, inputs.rows) +
        errors_of_rows("cross_entropy", values_of(cross_entropy, rows), naive.cross_entropy,
                       exact.cross_entropy, single, inputs.rows) +
        errors_of_rows("log_sum_exp", values_of(log_sum_exp, rows), naive.log_sum_exp,
                       exact.log_sum_exp, single, inputs.rows);
    for (const auto* buffer : {&gradient, &cross_entropy, &log_sum_exp})
      if (!buffer->guards_untouched()) text += "wrote outside an output; ";
    return text;
  }
  bool same_bits(const CrossEntropyRun& other) const {
    return cross_entropy == other.cross_entropy && log_sum_exp == other.log_sum_exp &&
           gradient == other.gradient;
  }

  const CrossEntropyInputs& inputs;
  Input logits;
  Buffer cross_entropy, log_sum_exp, gradient;
};

TEST_CASE("cross-entropy is as exact as its definition in float32") {
  for (const auto type : kTypes) {
    for (const std::int64_t vocabulary : {1, 2, 15, 16, 17, 33, 100, 2047, 2048, 2049, 5003}) {
      for (const std::int64_t rows : {1, 2, 15}) {
        const CrossEntropyInputs in(rows, vocabulary, type,
                                    static_cast<std::uint64_t>(rows + vocabulary));
        const auto exact = cross_entropy_reference<double>(in),
                   naive = cross_entropy_reference<float>(in);
        for (const auto set : supported_sets()) {
          INFO(instruction_set_name(set) << " " << rows << " x " << vocabulary << text_of(type));
          CrossEntropyRun run(in);
          run.with(serial, set);
          CHECK(run.errors(naive, exact) == "");
        }
      }
    }
  }
}

TEST_CASE("cross-entropy of two logits shows the error of its exponential") {
  CrossEntropyInputs in(4096, 2, ElementType::kBfloat16, 1);
  for (std::int64_t row = 0; row < in.rows; ++row) {
    in.logits[at(2 * row)] = 0;
    in.logits[at(2 * row + 1)] = rounded(-static_cast<double>(row) / 1024, in.type);
    in.targets[at(row)] = 0;
  }
  const auto exact = cross_entropy_reference<double>(in);
  for (const auto set : supported_sets()) {
    INFO(instruction_set_name(set));
    CrossEntropyRun run(in);
    run.with(serial, set);
    CHECK(largest_difference(values_of(run.cross_entropy, at(in.rows)), exact.cross_entropy) <
          2.5e-7);
  }
}

TEST_CASE("a row of cross-entropy may rise from block to block") {
  CrossEntropyInputs in(2, 9000, ElementType::kBfloat16, 4);
  for (std::int64_t j = 0; j < 9000; ++j) {
    in.logits[at(j)] = rounded(static_cast<double>(j) / 100, in.type);
    in.logits[at(9000 + j)] = -in.logits[at(j)];
  }
  const auto exact = cross_entropy_reference<double>(in),
             naive = cross_entropy_reference<float>(in);
  for (const auto set : supported_sets()) {
    CrossEntropyRun run(in);
    run.with(serial, set);
    CHECK(run.errors(naive, exact) == "");
  }
}

TEST_CASE("cross-entropy takes logits of minus infinity, and keeps a NaN in its row") {
  for (const auto type : kTypes) {
    CrossEntropyInputs in(3, 5000, type, 8);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // The first blocks hold nothing: the largest logit so far is minus infinity.
    for (std::int64_t j = 0; j < 4500; ++j) in.logits[at(j)] = -kInfinity;
    in.targets = {4700, 10, 20};
    in.logits[at(5000 + 3000)] = std::nan("");
    const auto exact = cross_entropy_reference<double>(in);
    for (const auto set : supported_sets()) {
      CrossEntropyRun run(in);
      run.with(serial, set);
      CHECK(run.log_sum_exp.get(0) == Approx(exact.log_sum_exp[0]));
      CHECK(run.cross_entropy.get(0) == Approx(exact.cross_entropy[0]));
      for (std::int64_t j = 0; j < 4500; ++j) CHECK(run.gradient.get(j) == 0);
      CHECK(run.gradient.get(4600) == Approx(exact.gradient[4600]).epsilon(0.01));
      CHECK(std::isnan(run.log_sum_exp.get(1)));
      CHECK(std::isnan(run.cross_entropy.get(1)));
      for (std::int64_t j = 5000; j < 10000; ++j) CHECK(std::isnan(run.gradient.get(j)));
      for (std::int64_t j = 10000; j < 15000; ++j) CHECK(std::isfinite(run.gradient.get(j)));
      CHECK(std::isfinite(run.cross_entropy.get(2)));
    }
  }
}

TEST_CASE("cross-entropy gives the same bits again, on any number of threads, and in place") {
  for (const auto type : kTypes) {
    const CrossEntropyInputs in(37, 3001, type, 6);
    for (const auto set : supported_sets()) {
      CrossEntropyRun first(in);
      first.with(serial, set);
      check_any_threads(first, in, set);
      CrossEntropyRun over(in);
      fill(over.gradient, in.logits);
      auto arguments = over.arguments();
      arguments.logits = over.gradient.data();
      cross_entropy(arguments, serial, set);
      CHECK(over.same_bits(first));
      CrossEntropyRun without(in);
      arguments = without.arguments();
      arguments.gradient = nullptr;
      cross_entropy(arguments, serial, set);
      CHECK(without.cross_entropy == first.cross_entropy);
      CHECK(without.log_sum_exp == first.log_sum_exp);
    }
  }
}

TEST_CASE("cross-entropy refuses what it cannot do") {
  CrossEntropyInputs in(4, 9, ElementType::kFloat32, 1);
  CrossEntropyRun run(in);
  const auto refuse = refusal_of(cross_entropy, [&] { return run.arguments(); });
  refuse([](auto& a) { a.rows = -1; });
  refuse([](auto& a) { a.vocabulary = 0; });
  refuse([](auto& a) { a.logits = nullptr; });
  refuse([](auto& a) { a.targets = nullptr; });
  refuse([](auto& a) { a.cross_entropy = nullptr; });
  refuse([](auto& a) { a.log_sum_exp = nullptr; });
  for (const std::int64_t target : {9, -1, -101}) {
    in.targets[3] = target;
    refuse([](auto&) {});
  }
  CHECK(run.same_bits(CrossEntropyRun(in)));
}

}  // namespace
}  // namespace zebra::kernels::testing
