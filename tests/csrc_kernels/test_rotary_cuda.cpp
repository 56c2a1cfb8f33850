#include "csrc_kernels/row_cases_cuda.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

struct RotaryCase {
  std::int64_t batch, length, heads, other_heads, head_size;  // other_heads: untouched, behind
  std::int64_t offset = 0;
  bool in_place = true, inverse = false, table_per_sequence = false;
};

RotaryInputs inputs_of_case(const RotaryCase& c, ElementType type) {
  return {c.batch, c.length, c.heads + c.other_heads, c.head_size, type, 5};
}

/// The other heads are as they were in x.
template <class Real>
Values turned(const RotaryCase& c, const RotaryInputs& in) {
  Values out = rotary_reference<Real>(in, !c.table_per_sequence, c.inverse);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (static_cast<std::int64_t>(i) / c.head_size % in.heads >= c.heads) out[i] = in.x[i];
  return out;
}

kernels::Rotary arguments_of(const RotaryCase& c, ElementType type, void* x, void* out,
                             const float* cos, const float* sin) {
  const std::int64_t row = (c.heads + c.other_heads) * c.head_size;
  kernels::Rotary a;
  a.batch = c.batch;
  a.length = c.length;
  a.heads = c.heads;
  a.head_size = c.head_size;
  a.type = type;
  a.x = {x, c.length * row, row, c.head_size};
  a.out = {out, c.length * row, row, c.head_size};
  a.table = {cos, sin, c.table_per_sequence ? c.length * c.head_size / 2 : 0, c.head_size / 2};
  a.inverse = c.inverse;
  return a;
}

std::string run_rotary(const RotaryCase& c, const RotaryInputs& in, std::int64_t table_offset,
                       std::string* bits) {
  const Values cosines(in.cos.begin(), in.cos.end()), sines(in.sin.begin(), in.sin.end());
  DeviceArray x(in.type, in.x, c.offset), own(in.type, in.x, c.offset),
      cos(ElementType::kFloat32, cosines, table_offset),
      sin(ElementType::kFloat32, sines, 3 * table_offset);
  DeviceArray& out = c.in_place ? x : own;
  cuda::rotary(arguments_of(c, in.type, x.data(), out.data(), cos.floats(), sin.floats()), nullptr);
  *bits = out.bits();
  return errors_of("out", out, turned<float>(c, in), turned<double>(c, in), c.head_size);
}

TEST_CASE("emulated rotary is as exact as its definition, whatever the schedule") {
  const RotaryCase cases[] = {{1, 1, 1, 0, 2},
                              {2, 5, 3, 1, 64, 0, true, false, true},
                              {1, 7, 5, 2, 128, 0, false, true},
                              {3, 3, 2, 2, 6, 0, true, true},
                              {2, 4, 4, 0, 40, 0, false},  // 20 pairs: no whole chunks of bfloat16
                              {1, 3, 2, 1, 64, 1},
                              {1, 9, 1, 1, 8, 0, true, false, true},
                              {1, 2, 80, 0, 64},  // more chunks than threads of a block
                              {1, 1, 3, 0, 1030, 0, true, true}};
  for (const auto type : kTypes)
    for (const auto& c : cases) {
      INFO("heads " << c.heads << " head size " << c.head_size << " type "
                    << static_cast<int>(type));
      const auto in = inputs_of_case(c, type);
      CHECK(same_bits_on_every_schedule([&] {
        std::string bits;
        CHECK(run_rotary(c, in, 0, &bits) == "");
        return bits;
      }));
    }
}

TEST_CASE("emulated rotary reads a table that is not aligned") {
  const RotaryCase c{1, 4, 2, 0, 64};
  std::string bits;
  CHECK(run_rotary(c, inputs_of_case(c, ElementType::kBfloat16), 1, &bits) == "");
}

TEST_CASE("CUDA rotary refuses what it cannot do") {
  float x[64] = {};
  const auto refused = [&](auto change) {
    kernels::Rotary a = arguments_of({1, 1, 1, 0, 64}, ElementType::kFloat32, x, x, x, x);
    change(a);
    CHECK_THROWS_AS(cuda::rotary(a, nullptr), std::invalid_argument);
  };
  refused([](auto& a) { a.head_size = 3; });
  refused([](auto& a) { a.batch = -1; });
  refused([](auto& a) { a.length = std::int64_t{1} << 31; });
  refused([](auto& a) { a.batch = 1 << 16, a.length = 1 << 15; });
  refused([](auto& a) { a.x.data = nullptr; });
  refused([](auto& a) { a.table.sin = nullptr; });
  kernels::Rotary empty =
      arguments_of({0, 5, 1, 0, 64}, ElementType::kFloat32, nullptr, nullptr, x, x);
  cuda::rotary(empty, nullptr);
}

}  // namespace
}  // namespace zebra::kernels::testing
