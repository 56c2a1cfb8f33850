#include "csrc_kernels/row_cases_cuda.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

std::string run_loss(const CrossEntropyInputs& in, std::int64_t offset, bool in_place,
                     std::string* bits) {
  const auto exact = cross_entropy_reference<double>(in),
             naive = cross_entropy_reference<float>(in);
  DeviceArray logits(in.type, in.logits, offset), own(in.type, in.rows * in.vocabulary, offset),
      loss(ElementType::kFloat32, in.rows), log_sum_exp(ElementType::kFloat32, in.rows);
  DeviceArray& gradient = in_place ? logits : own;
  cuda::cross_entropy({in.rows, in.vocabulary, in.type, logits.data(), in.targets.data(), in.z_loss,
                       loss.floats(), log_sum_exp.floats(), gradient.data()},
                      nullptr);
  *bits = loss.bits() + log_sum_exp.bits() + gradient.bits();
  Values others = gradient.values(), of_targets(at(in.rows));
  for (std::int64_t row = 0; row < in.rows; ++row)
    if (const auto target = in.targets[at(row)]; target != kNoTarget)
      std::swap(others[at(row * in.vocabulary + target)], of_targets[at(row)]);
  return errors_of("cross_entropy", loss, naive.cross_entropy, exact.cross_entropy, 1) +
         errors_of("log_sum_exp", log_sum_exp, naive.log_sum_exp, exact.log_sum_exp, 1) +
         errors_of_rows("gradient", others, naive.gradient, exact.gradient, in.type,
                        in.vocabulary) +
         errors_of_rows("of targets", of_targets, naive.of_targets, exact.of_targets, in.type, 1) +
         (gradient.guards_untouched() ? "" : "wrote outside; ");
}

TEST_CASE("emulated cross-entropy is as exact as its definition, whatever the schedule") {
  struct {
    std::int64_t rows, vocabulary, offset;
    bool in_place;
  } const cases[] = {{15, 1, 0, true},    {15, 7, 0, true},    {15, 8, 0, false},
                     {8, 259, 0, false},  {15, 1024, 0, true}, {8, 1024, 1, true},
                     {8, 1032, 0, true},  {4, 5003, 0, false}, {4, 32768, 0, true},
                     {4, 40000, 0, true}, {3, 33001, 0, false}};
  for (const auto type : kTypes)
    for (const auto& c : cases)
      for (const float z_loss : {0.0F, 0.01F}) {
        INFO("rows " << c.rows << " vocabulary " << c.vocabulary << " type "
                     << static_cast<int>(type));
        CrossEntropyInputs in(c.rows, c.vocabulary, type, 5);
        in.z_loss = z_loss;
        CHECK(same_bits_on_every_schedule([&] {
          std::string bits;
          CHECK(run_loss(in, c.offset, c.in_place, &bits) == "");
          return bits;
        }));
      }
}

TEST_CASE("emulated cross-entropy: masked logits, a certain target, no gradient") {
  const double nothing = -std::numeric_limits<double>::infinity();
  for (const std::int64_t vocabulary : {64, 1500}) {
    // Whole chunks of masked logits come first, so that a thread's largest stays at -infinity.
    for (const auto type : kTypes) {
      CrossEntropyInputs in(1, vocabulary, type, 5);
      in.logits.assign(at(vocabulary), nothing);
      in.logits[40] = 1.0, in.logits[50] = 3.0;
      in.targets = {50};
      std::string bits;
      CHECK(run_loss(in, 0, true, &bits) == "");
    }
  }
  Values certain(64, -20.0);
  certain[5] = 1000.0;
  certain[6] = 990.0;
  DeviceArray logits(ElementType::kFloat32, certain), loss(ElementType::kFloat32, 1),
      log_sum_exp(ElementType::kFloat32, 1);
  const std::int64_t target = 5;
  CrossEntropy a{1,       64,   ElementType::kFloat32, logits.data(),
                 &target, 0.0F, loss.floats(),         log_sum_exp.floats(),
                 nullptr};
  cuda::cross_entropy(a, nullptr);
  CHECK(loss.values()[0] == Approx(std::log1p(std::exp(-10.0))).epsilon(0.01));
  CHECK(logits.values() == certain);
}

TEST_CASE("in emulated cross-entropy a row with NaN says so, and no other") {
  for (const std::int64_t vocabulary : {50, 3000}) {
    Values values = random_values(3 * vocabulary, ElementType::kFloat32, 4);
    values[static_cast<std::size_t>(vocabulary + 7)] = std::nan("");
    DeviceArray logits(ElementType::kFloat32, values), loss(ElementType::kFloat32, 3),
        log_sum_exp(ElementType::kFloat32, 3);
    const std::int64_t targets[] = {1, 2, 3};
    CrossEntropy a{3,    vocabulary,    ElementType::kFloat32, logits.data(), targets,
                   0.0F, loss.floats(), log_sum_exp.floats(),  logits.data()};
    cuda::cross_entropy(a, nullptr);
    for (std::size_t row = 0; row < 3; ++row) {
      CHECK(std::isnan(loss.values()[row]) == (row == 1));
      CHECK(std::isnan(log_sum_exp.values()[row]) == (row == 1));
      CHECK(std::isnan(logits.values()[row * static_cast<std::size_t>(vocabulary) + 20]) ==
            (row == 1));
    }
  }
}

TEST_CASE("CUDA cross-entropy refuses what it cannot do") {
  float x[8] = {};
  const std::int64_t target = 0;
  const auto refused = [&](auto change) {
    CrossEntropy a{1, 8, ElementType::kFloat32, x, &target, 0.0F, x, x, nullptr};
    change(a);
    CHECK_THROWS_AS(cuda::cross_entropy(a, nullptr), std::invalid_argument);
  };
  refused([](auto& a) { a.vocabulary = 0; });
  refused([](auto& a) { a.rows = std::int64_t{1} << 31; });
  refused([](auto& a) { a.targets = nullptr; });
  refused([](auto& a) { a.log_sum_exp = nullptr; });
}

}  // namespace
}  // namespace zebra::kernels::testing
