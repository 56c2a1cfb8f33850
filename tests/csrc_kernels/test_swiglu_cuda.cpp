#include "csrc_kernels/row_cases_cuda.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

std::string run_swiglu(const SwigluInputs& in, std::int64_t offset, bool in_place,
                       std::string* bits) {
  const auto& shape = in.shape;
  const auto exact = swiglu_reference<double>(in), naive = swiglu_reference<float>(in);
  const std::int64_t count = shape.rows * shape.width;
  DeviceArray gate_up(shape.type, in.gate_up, offset), d_out(shape.type, in.d_out, offset),
      out(shape.type, count, offset), again(shape.type, count, offset),
      d_gate_up(shape.type, 2 * count, offset);
  cuda::swiglu_forward({shape, gate_up.data(), out.data()}, nullptr);
  DeviceArray &gradient = in_place ? gate_up : d_gate_up, &second = in_place ? d_out : again;
  cuda::swiglu_backward({shape, gate_up.data(), d_out.data(), gradient.data(), second.data()},
                        nullptr);
  std::string errors = errors_of("out", out, naive.out, exact.out, shape.width);
  errors += errors_of("d_gate_up", gradient, naive.d_gate_up, exact.d_gate_up, shape.width);
  if (second.bits() != out.bits()) errors += "the backward's out has other bits; ";
  if (!second.guards_untouched()) errors += "wrote outside; ";
  *bits = out.bits() + gradient.bits();
  return errors;
}

TEST_CASE("emulated SwiGLU is as exact as its definition, whatever the schedule") {
  for (const auto type : kTypes)
    for (const std::int64_t width : {1, 5, 8, 32, 176, 255, 257, 1024, 2056, 2052, 5000})
      for (const std::int64_t offset : {0, 1}) {
        INFO("width " << width << " offset " << offset << " type " << static_cast<int>(type));
        const SwigluInputs in({11, width, type}, 5);
        CHECK(same_bits_on_every_schedule([&] {
          std::string bits;
          CHECK(run_swiglu(in, offset, width % 2 == 1, &bits) == "");
          return bits;
        }));
      }
}

TEST_CASE("emulated SwiGLU of gates of any size is finite") {
  const double most = std::numeric_limits<float>::max();
  for (const auto type : kTypes)
    for (const double gate : {-1e38, -1e30, -100.0, -1e-40, -0.0, 1e-40, 100.0, 1e30, 1e38}) {
      // Where the sigmoid is 0 the product of the others may be infinite.
      const double up = gate < -90 ? rounded(most / 4, type) : 0.5, d_up = gate < -90 ? up : 0.25;
      DeviceArray gate_up(type, Values{gate, up}), d_out(type, Values{d_up}), out(type, 1);
      const SwigluShape shape{1, 1, type};
      cuda::swiglu_forward({shape, gate_up.data(), out.data()}, nullptr);
      cuda::swiglu_backward({shape, gate_up.data(), d_out.data(), gate_up.data(), nullptr},
                            nullptr);
      INFO(gate);
      CHECK(std::isfinite(out.values()[0]));
      for (const double x : gate_up.values()) CHECK(std::isfinite(x));
    }
}

TEST_CASE("CUDA SwiGLU refuses what it cannot do") {
  float x[8] = {};
  cuda::swiglu_forward({{0, 4, ElementType::kFloat32}, nullptr, nullptr}, nullptr);
  CHECK_THROWS_AS(cuda::swiglu_forward({{1, 0, ElementType::kFloat32}, x, x}, nullptr),
                  std::invalid_argument);
  CHECK_THROWS_AS(cuda::swiglu_forward({{1, 4, ElementType::kFloat32}, x, nullptr}, nullptr),
                  std::invalid_argument);
  CHECK_THROWS_AS(cuda::swiglu_backward({{1, 4, ElementType::kFloat32}, x, nullptr, x, x}, nullptr),
                  std::invalid_argument);
}

}  // namespace
}  // namespace zebra::kernels::testing
