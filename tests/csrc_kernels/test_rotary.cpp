#include "zebra_kernels/rotary.h"

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

// Heads lie in a packed projection of more heads, behind one that is not theirs.
constexpr std::int64_t kOtherHeads = 2;

struct RotaryRun {
  RotaryRun(const RotaryInputs& in, bool is_shared, bool is_inverse)
      : inputs(in),
        shared(is_shared),
        inverse(is_inverse),
        row((in.heads + kOtherHeads) * in.head_size),
        x(in.type, packed(in.x)),
        out(in.type, in.batch * in.length * row) {}

  /// NaN where the other heads are.
  Values packed(const Values& dense) const {
    Values values(at(inputs.batch * inputs.length * row), std::nan(""));
    for (std::size_t i = 0; i < dense.size(); ++i) values[place(i)] = dense[i];
    return values;
  }
  std::size_t place(std::size_t i) const {
    const auto width = at(inputs.heads * inputs.head_size);
    return i / width * at(row) + at(inputs.head_size) + i % width;
  }

  kernels::Rotary arguments() {
    kernels::Rotary a;
    a.batch = inputs.batch;
    a.length = inputs.length;
    a.heads = inputs.heads;
    a.head_size = inputs.head_size;
    a.type = inputs.type;
    const auto skipped = inputs.head_size * (a.type == ElementType::kFloat32 ? 4 : 2);
    a.x = {static_cast<const char*>(x.data()) + skipped, inputs.length * row, row,
           inputs.head_size};
    a.out = {static_cast<char*>(out.data()) + skipped, inputs.length * row, row, inputs.head_size};
    const auto half = inputs.head_size / 2;
    a.table = {inputs.cos.data(), inputs.sin.data(), shared ? 0 : inputs.length * half, half};
    a.inverse = inverse;
    return a;
  }
  std::string errors() const {
    const auto exact = rotary_reference<double>(inputs, shared, inverse),
               naive = rotary_reference<float>(inputs, shared, inverse);
    Values actual;
    for (std::size_t i = 0; i < exact.size(); ++i)
      actual.push_back(out.get(static_cast<std::int64_t>(place(i))));
    auto text = errors_of_rows("out", actual, naive, exact, inputs.type, inputs.head_size);
    for (std::int64_t i = 0; i < inputs.batch * inputs.length * row; ++i) {
      const auto head = i % row / inputs.head_size;
      if ((head == 0 || head > inputs.heads) && !std::isnan(out.get(i)))
        return text + "wrote into another head; ";
    }
    return out.guards_untouched() ? text : text + "wrote outside an output; ";
  }

  const RotaryInputs& inputs;
  bool shared, inverse;
  std::int64_t row;
  Input x;
  Buffer out;
};

TEST_CASE("rotary embedding is as exact as its definition in float32") {
  for (const auto type : kTypes) {
    for (const std::int64_t head_size : {2, 6, 16, 30, 32, 34, 64, 96, 128, 254}) {
      for (int variant = 0; variant < 4; ++variant) {
        const RotaryInputs in(2, 7, 3, head_size, type, static_cast<std::uint64_t>(head_size));
        for (const auto set : supported_sets()) {
          INFO(instruction_set_name(set) << " D " << head_size << text_of(type));
          RotaryRun run(in, variant % 2 == 0, variant / 2 == 0);
          rotary(run.arguments(), serial, set);
          CHECK(run.errors() == "");
        }
      }
    }
  }
}

TEST_CASE("rotary embedding gives the same bits again, on any number of threads, and in place") {
  for (const auto type : kTypes) {
    const RotaryInputs in(3, 171, 5, 36, type, 3);
    for (const auto set : supported_sets()) {
      RotaryRun first(in, false, false);
      rotary(first.arguments(), serial, set);
      for (const int count : {1, 2, 3}) {
        RotaryRun again(in, false, false);
        rotary(again.arguments(), threads(count), set);
        CHECK(again.out == first.out);
      }
      RotaryRun over(in, false, false);
      for (std::size_t i = 0; i < in.x.size(); ++i)
        over.out.set(static_cast<std::int64_t>(over.place(i)), in.x[i]);
      auto arguments = over.arguments();
      arguments.x.data = arguments.out.data;
      rotary(arguments, serial, set);
      CHECK(over.out == first.out);
    }
  }
}

TEST_CASE("rotary embedding refuses what it cannot do") {
  const RotaryInputs in(1, 4, 2, 8, ElementType::kFloat32, 1);
  RotaryRun run(in, true, false);
  const auto refuse = refusal_of(rotary, [&] { return run.arguments(); });
  refuse([](auto& a) { a.batch = -1; });
  refuse([](auto& a) { a.length = -1; });
  refuse([](auto& a) { a.heads = -1; });
  refuse([](auto& a) { a.head_size = 7; });
  refuse([](auto& a) { a.head_size = 0; });
  refuse([](auto& a) { a.x.data = nullptr; });
  refuse([](auto& a) { a.out.data = nullptr; });
  refuse([](auto& a) { a.table.cos = nullptr; });
  refuse([](auto& a) { a.table.sin = nullptr; });
  for (const auto empty :
       {&kernels::Rotary::batch, &kernels::Rotary::length, &kernels::Rotary::heads}) {
    auto arguments = run.arguments();
    arguments.*empty = 0;
    rotary(arguments, serial);
  }
  CHECK(run.out == RotaryRun(in, true, false).out);
}

}  // namespace
}  // namespace zebra::kernels::testing
