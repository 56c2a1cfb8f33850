#include "zebra_kernels/swiglu.h"

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

struct SwigluRun {
  explicit SwigluRun(const SwigluInputs& in)
      : inputs(in),
        count(in.shape.rows * in.shape.width),
        gate_up(in.shape.type, in.gate_up),
        d_out(in.shape.type, in.d_out),
        out(in.shape.type, count),
        out_again(in.shape.type, count),
        d_gate_up(in.shape.type, 2 * count) {}

  SwigluForward forward_arguments() { return {inputs.shape, gate_up.data(), out.data()}; }
  SwigluBackward backward_arguments() {
    return {inputs.shape, gate_up.data(), d_out.data(), d_gate_up.data(), out_again.data()};
  }
  void with(const ParallelFor& parallel_for, InstructionSet set) {
    swiglu_forward(forward_arguments(), parallel_for, set);
    swiglu_backward(backward_arguments(), parallel_for, set);
  }
  bool same_bits(const SwigluRun& other) const {
    return out == other.out && d_gate_up == other.d_gate_up && out_again == other.out_again;
  }
  std::string errors(const SwigluResults& naive, const SwigluResults& exact) {
    const auto& s = inputs.shape;
    std::string text =
        errors_of_rows("out", values_of(out, at(count)), naive.out, exact.out, s.type, s.width) +
        errors_of_rows("d_gate_up", values_of(d_gate_up, at(2 * count)), naive.d_gate_up,
                       exact.d_gate_up, s.type, s.width);
    if (!(out_again == out)) text += "the backward's out differs; ";
    for (const auto* buffer : {&out, &out_again, &d_gate_up})
      if (!buffer->guards_untouched()) text += "wrote outside an output; ";
    return text;
  }

  const SwigluInputs& inputs;
  std::int64_t count;
  Input gate_up, d_out;
  Buffer out, out_again, d_gate_up;
};

TEST_CASE("SwiGLU is as exact as its definition in float32") {
  for (const auto type : kTypes) {
    for (const std::int64_t width : {1, 2, 7, 8, 9, 16, 31, 32, 33, 63, 64, 100, 704, 1003}) {
      for (const std::int64_t rows : {1, 11, 40}) {
        const SwigluInputs in({rows, width, type}, static_cast<std::uint64_t>(rows + width));
        const auto exact = swiglu_reference<double>(in), naive = swiglu_reference<float>(in);
        for (const auto set : supported_sets()) {
          INFO(instruction_set_name(set) << " " << rows << " x " << width << text_of(type));
          SwigluRun run(in);
          run.with(serial, set);
          CHECK(run.errors(naive, exact) == "");
        }
      }
    }
  }
}

TEST_CASE("SwiGLU of gates of any size is what it must be") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const auto type : kTypes) {
    SwigluInputs in({1, 8, type}, 1);
    const Values gates = {0, -0.0, -3e38, 3e38, -100, -kInfinity, 1e-40, std::nan("")};
    for (std::size_t j = 0; j < 8; ++j) in.gate_up[j] = gates[j], in.gate_up[8 + j] = 1;
    in.d_out = Values(8, 1.0);
    for (const auto set : supported_sets()) {
      INFO(instruction_set_name(set) << text_of(type));
      SwigluRun run(in);
      run.with(serial, set);
      const auto out = values_of(run.out, 8), d = values_of(run.d_gate_up, 16);
      CHECK(out[0] == 0);
      CHECK(out[1] == 0);
      CHECK(out[3] == Approx(3e38).epsilon(0.01));
      CHECK(d[3] == 1);
      for (const std::size_t far : {2, 4, 5}) {
        CHECK(std::abs(out[far]) < 1e-34);
        CHECK(std::abs(d[far]) < 1e-34);
        CHECK(std::abs(d[8 + far]) < 1e-34);
      }
      CHECK(d[0] == 0.5);
      CHECK(d[6] == 0.5);
      CHECK(std::isnan(out[7]));
      CHECK(std::isnan(d[7]));
      CHECK(std::isnan(d[15]));
    }
  }
}

TEST_CASE("SwiGLU gives the same bits again, on any number of threads, and in place") {
  for (const auto type : kTypes) {
    const SwigluInputs in({130, 333, type}, 7);
    for (const auto set : supported_sets()) {
      SwigluRun first(in);
      first.with(serial, set);
      check_any_threads(first, in, set);
      SwigluRun over(in);
      auto arguments = over.backward_arguments();
      fill(over.d_gate_up, in.gate_up);
      fill(over.out_again, in.d_out);
      arguments.gate_up = over.d_gate_up.data();
      arguments.d_out = over.out_again.data();
      swiglu_backward(arguments, serial, set);
      CHECK(over.d_gate_up == first.d_gate_up);
      CHECK(over.out_again == first.out);
      SwigluRun without(in);
      arguments = without.backward_arguments();
      arguments.out = nullptr;
      swiglu_backward(arguments, serial, set);
      CHECK(without.d_gate_up == first.d_gate_up);
    }
  }
}

TEST_CASE("SwiGLU refuses what it cannot do") {
  const SwigluInputs in({3, 5, ElementType::kFloat32}, 1);
  SwigluRun run(in);
  const auto refuse_forward = refusal_of(swiglu_forward, [&] { return run.forward_arguments(); });
  refuse_forward([](auto& a) { a.shape.rows = -1; });
  refuse_forward([](auto& a) { a.shape.width = 0; });
  refuse_forward([](auto& a) { a.gate_up = nullptr; });
  refuse_forward([](auto& a) { a.out = nullptr; });
  const auto refuse_backward =
      refusal_of(swiglu_backward, [&] { return run.backward_arguments(); });
  refuse_backward([](auto& a) { a.shape.rows = -1; });
  refuse_backward([](auto& a) { a.shape.width = 0; });
  refuse_backward([](auto& a) { a.gate_up = nullptr; });
  refuse_backward([](auto& a) { a.d_out = nullptr; });
  refuse_backward([](auto& a) { a.d_gate_up = nullptr; });
  auto none = run.forward_arguments();
  none.shape.rows = 0;
  none.gate_up = nullptr;
  swiglu_forward(none, serial);
  CHECK(run.out == SwigluRun(in).out);
}

}  // namespace
}  // namespace zebra::kernels::testing
