#include "zebra_kernels/rms_norm.h"

#include <stdexcept>

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

/// Where results go: by themselves, or over arguments, as the headers allow.
enum class Place { kApart, kOverX, kOverAdded, kOverDSum };

struct RmsNormRun {
  RmsNormRun(const RmsNormInputs& in, Place a_place = Place::kApart)
      : inputs(in),
        place(a_place),
        count(in.shape.rows * in.shape.width),
        x(in.shape.type, in.x),
        weight(in.shape.type, in.weight),
        d_out(in.shape.type, in.d_out),
        added(in.shape.type, in.added),
        d_sum(in.shape.type, in.d_sum),
        sum(in.shape.type, count),
        out(in.shape.type, count),
        d_x(in.shape.type, count),
        inverse_rms(ElementType::kFloat32, in.shape.rows),
        d_weight(ElementType::kFloat32, in.shape.width) {}

  RmsNormForward forward_arguments() {
    RmsNormForward a;
    a.shape = inputs.shape;
    a.x = x.data();
    a.added = added.data();
    a.weight = weight.data();
    a.eps = inputs.eps;
    a.sum = added.data() == nullptr ? nullptr : sum.data();
    a.out = out.data();
    a.inverse_rms = static_cast<float*>(inverse_rms.data());
    if (place == Place::kOverX) fill(sum, inputs.x), a.x = a.sum;
    if (place == Place::kOverAdded) fill(sum, inputs.added), a.added = a.sum;
    return a;
  }
  RmsNormBackward backward_arguments() {
    RmsNormBackward a;
    a.shape = inputs.shape;
    a.sum = added.data() == nullptr ? x.data() : sum.data();
    a.weight = weight.data();
    a.inverse_rms = static_cast<const float*>(inverse_rms.data());
    a.d_out = d_out.data();
    a.d_sum = d_sum.data();
    a.d_x = d_x.data();
    a.d_weight = static_cast<float*>(d_weight.data());
    if (place == Place::kOverX) fill(d_x, inputs.d_out), a.d_out = a.d_x;
    if (place == Place::kOverDSum) fill(d_x, inputs.d_sum), a.d_sum = a.d_x;
    return a;
  }
  void with(const ParallelFor& parallel_for, InstructionSet set) {
    rms_norm_forward(forward_arguments(), parallel_for, set);
    auto arguments = backward_arguments();
    const Scratch<HostMemory> workspace(rms_norm_backward_workspace_bytes(inputs.shape));
    arguments.workspace = workspace.data();
    rms_norm_backward(arguments, parallel_for, set);
  }

  std::string errors(const RmsNormResults& naive, const RmsNormResults& exact) {
    const auto& s = inputs.shape;
    const auto single = ElementType::kFloat32;
    std::string text =
        errors_of_rows("inverse_rms", values_of(inverse_rms, at(s.rows)), naive.inverse_rms,
                       exact.inverse_rms, single, 1) +
        errors_of_rows("out", values_of(out, at(count)), naive.out, exact.out, s.type, s.width) +
        errors_of_rows("d_x", values_of(d_x, at(count)), naive.d_x, exact.d_x, s.type, s.width) +
        errors_of_rows("d_weight", values_of(d_weight, at(s.width)), naive.d_weight, exact.d_weight,
                       single, s.width);
    if (!inputs.added.empty() && values_of(sum, at(count)) != exact.sum) text += "sum is wrong; ";
    for (const auto* buffer : {&sum, &out, &d_x, &inverse_rms, &d_weight})
      if (!buffer->guards_untouched()) text += "wrote outside an output; ";
    return text;
  }
  bool same_bits(const RmsNormRun& other) const {
    return sum == other.sum && out == other.out && d_x == other.d_x &&
           inverse_rms == other.inverse_rms && d_weight == other.d_weight;
  }

  const RmsNormInputs& inputs;
  Place place;
  std::int64_t count;
  Input x, weight, d_out, added, d_sum;
  Buffer sum, out, d_x, inverse_rms, d_weight;
};

TEST_CASE("RMSNorm is as exact as its definition in float32") {
  for (const auto type : kTypes) {
    for (const std::int64_t width : {1, 2, 7, 8, 9, 16, 31, 32, 33, 63, 64, 100, 256, 1000, 2053}) {
      for (const std::int64_t rows : {1, 2, 5, 41}) {
        const RmsNormInputs in({rows, width, type}, static_cast<std::uint64_t>(rows + width),
                               (rows + width) % 2 == 0, width % 3 != 0);
        const auto exact = rms_norm_reference<double>(in), naive = rms_norm_reference<float>(in);
        for (const auto set : supported_sets()) {
          INFO(instruction_set_name(set) << " " << rows << " x " << width << text_of(type));
          RmsNormRun run(in);
          run.with(serial, set);
          CHECK(run.errors(naive, exact) == "");
        }
      }
    }
  }
}

TEST_CASE("RMSNorm's weight gradient is exact over many blocks of rows") {
  const RmsNormInputs in({3000, 40, ElementType::kBfloat16}, 3, true, false);
  const auto exact = rms_norm_reference<double>(in), naive = rms_norm_reference<float>(in);
  for (const auto set : supported_sets()) {
    RmsNormRun run(in);
    run.with(serial, set);
    CHECK(run.errors(naive, exact) == "");
  }
}

TEST_CASE("RMSNorm gives the same bits again, on any number of threads, and in place") {
  for (const auto type : kTypes) {
    const RmsNormInputs in({700, 68, type}, 11, true, true);
    for (const auto set : supported_sets()) {
      RmsNormRun first(in);
      first.with(serial, set);
      check_any_threads(first, in, set);
      for (const auto place : {Place::kOverX, Place::kOverAdded, Place::kOverDSum}) {
        RmsNormRun over(in, place);
        over.with(serial, set);
        CHECK(over.same_bits(first));
      }
    }
  }
}

TEST_CASE("a non-finite row of RMSNorm reaches itself and the weight gradient alone") {
  for (const auto type : kTypes) {
    RmsNormInputs in({9, 37, type}, 5, false, true);
    in.x[at(4 * 37 + 2)] = std::nan("");
    in.x[at(5 * 37 + 36)] = std::numeric_limits<double>::infinity();
    for (const auto set : supported_sets()) {
      RmsNormRun run(in);
      run.with(serial, set);
      for (std::int64_t i = 0; i < run.count; ++i) {
        const auto row = i / 37;
        if (row != 4 && row != 5) {
          CHECK(std::isfinite(run.out.get(i)));
          CHECK(std::isfinite(run.d_x.get(i)));
        } else if (row == 4) {
          CHECK(std::isnan(run.out.get(i)));
          CHECK(std::isnan(run.d_x.get(i)));
        }
      }
      for (std::int64_t j = 0; j < 37; ++j) CHECK(std::isnan(run.d_weight.get(j)));
    }
  }
}

TEST_CASE("RMSNorm without rows zeroes the weight gradient") {
  const RmsNormInputs in({0, 21, ElementType::kFloat32}, 1, false, false);
  for (const auto set : supported_sets()) {
    RmsNormRun run(in);
    run.with(serial, set);
    CHECK(values_of(run.d_weight, 21) == Values(21));
    CHECK(run.d_weight.guards_untouched());
  }
}

TEST_CASE("RMSNorm leaves out what is not wanted") {
  const RmsNormInputs in({6, 50, ElementType::kBfloat16}, 2, false, false);
  for (const auto set : supported_sets()) {
    RmsNormRun whole(in), part(in);
    rms_norm_forward(whole.forward_arguments(), serial, set);
    auto arguments = part.forward_arguments();
    arguments.inverse_rms = nullptr;
    rms_norm_forward(arguments, serial, set);
    CHECK(part.out == whole.out);
  }
}

TEST_CASE("RMSNorm refuses what it cannot do") {
  const RmsNormInputs in({4, 8, ElementType::kFloat32}, 1, true, true);
  RmsNormRun run(in);
  const auto refuse_forward = refusal_of(rms_norm_forward, [&] { return run.forward_arguments(); });
  refuse_forward([](auto& a) { a.shape.rows = -1; });
  refuse_forward([](auto& a) { a.shape.width = 0; });
  refuse_forward([](auto& a) { a.eps = -1.0F; });
  refuse_forward([](auto& a) { a.eps = std::nanf(""); });
  refuse_forward([](auto& a) { a.x = nullptr; });
  refuse_forward([](auto& a) { a.weight = nullptr; });
  refuse_forward([](auto& a) { a.sum = nullptr; });
  refuse_forward([](auto& a) { a.out = nullptr; });
  const Scratch<HostMemory> workspace(rms_norm_backward_workspace_bytes(in.shape));
  const auto refuse_backward = refusal_of(rms_norm_backward, [&] {
    auto arguments = run.backward_arguments();
    arguments.workspace = workspace.data();
    return arguments;
  });
  refuse_backward([](auto& a) { a.shape.width = -3; });
  refuse_backward([](auto& a) { a.sum = nullptr; });
  refuse_backward([](auto& a) { a.weight = nullptr; });
  refuse_backward([](auto& a) { a.inverse_rms = nullptr; });
  refuse_backward([](auto& a) { a.d_out = nullptr; });
  refuse_backward([](auto& a) { a.d_x = nullptr; });
  refuse_backward([](auto& a) { a.d_weight = nullptr; });
  refuse_backward([](auto& a) { a.workspace = nullptr; });
  CHECK(run.out == RmsNormRun(in).out);
  CHECK_THROWS_AS(rms_norm_backward_workspace_bytes({-1, 8, ElementType::kFloat32}),
                  std::invalid_argument);
}

}  // namespace
}  // namespace zebra::kernels::testing
