#include <algorithm>
#include <numeric>

#include "csrc_kernels/row_cases_cuda.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

using Tokens = std::vector<std::int64_t>;

/// Each token as often as told, in mixed order.
Tokens mixed(const std::vector<std::pair<std::int64_t, std::int64_t>>& counts) {
  Tokens tokens;
  for (const auto& [token, count] : counts) tokens.insert(tokens.end(), count, token);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    std::swap(tokens[i], tokens[i * 7919 % tokens.size()]);
  return tokens;
}

EmbeddingInputs inputs_of_tokens(const Tokens& tokens, std::int64_t width, std::int64_t vocabulary,
                                 ElementType type) {
  EmbeddingInputs in(static_cast<std::int64_t>(tokens.size()), width, vocabulary, type, 5);
  std::iota(in.order.begin(), in.order.end(), 0);
  std::stable_sort(in.order.begin(), in.order.end(),
                   [&](auto a, auto b) { return tokens[at(a)] < tokens[at(b)]; });
  for (std::size_t i = 0; i < tokens.size(); ++i) in.sorted_tokens[i] = tokens[at(in.order[i])];
  return in;
}

std::string run_embedding(const EmbeddingInputs& in, std::int64_t offset, std::string* bits) {
  const auto naive = embedding_reference<float>(in);
  DeviceArray d_out(in.type, in.d_out, offset),
      d_weight(ElementType::kFloat32, in.d_weight, offset);
  cuda::embedding_backward({in.rows, in.width, in.vocabulary, in.type, in.sorted_tokens.data(),
                            in.order.data(), d_out.data(), d_weight.floats()},
                           nullptr);
  *bits = d_weight.bits();
  std::string errors =
      errors_of("d_weight", d_weight, naive, embedding_reference<double>(in), in.width);
  // One warp adds a short run in the order of the definition.
  const Values values = d_weight.values();
  for (std::int64_t token = 0; token < in.vocabulary; ++token) {
    const auto& sorted = in.sorted_tokens;
    if (std::count(sorted.begin(), sorted.end(), token) > 64) continue;
    for (std::int64_t j = token * in.width; j < (token + 1) * in.width; ++j)
      if (values[at(j)] != naive[at(j)]) return errors + "a short run has other bits; ";
  }
  return errors;
}

TEST_CASE("the emulated gradient of an embedding is as exact as its definition") {
  const Tokens many[] = {
      {3},
      mixed({{0, 3}, {1, 1}, {5, 2}, {6, 1}}),
      mixed({{0, 64}, {1, 65}, {4, 63}, {6, 66}}),  // about the longest short run
      mixed({{0, 2}, {6, 65}}),                     // a long run at the end
      mixed({{2, 200}}),
      mixed({{0, 1}, {1, 130}, {2, 1}, {3, 128}, {6, 64}}),
      mixed({{5, 129}, {6, 700}}),
  };
  const std::int64_t widths[] = {1, 8, 100, 255, 264, 520};
  for (const auto type : kTypes)
    for (const auto& tokens : many)
      for (const std::int64_t width : widths) {
        if (tokens.size() > 500 && width > 300) continue;
        INFO("tokens " << tokens.size() << " width " << width << " type "
                       << static_cast<int>(type));
        const auto in = inputs_of_tokens(tokens, width, 7, type);
        CHECK(same_bits_on_every_schedule([&] {
          std::string bits;
          CHECK(run_embedding(in, width == 255, &bits) == "");
          return bits;
        }));
      }
}

TEST_CASE("the emulated gradient of an embedding leaves rows of other tokens alone") {
  const auto in = inputs_of_tokens(mixed({{1, 70}, {3, 2}}), 16, 5, ElementType::kBfloat16);
  DeviceArray d_out(in.type, in.d_out), d_weight(ElementType::kFloat32, 5 * 16),
      untouched(ElementType::kFloat32, 5 * 16);
  cuda::embedding_backward({72, 16, 5, in.type, in.sorted_tokens.data(), in.order.data(),
                            d_out.data(), d_weight.floats()},
                           nullptr);
  for (const std::size_t token : {0, 2, 4}) {
    const bool same =
        d_weight.bits().substr(token * 64, 64) == untouched.bits().substr(token * 64, 64);
    CHECK(same);
  }
}

TEST_CASE("CUDA embedding refuses what it cannot do") {
  float x[8] = {};
  const std::int64_t zero = 0;
  const auto refused = [&](auto change) {
    EmbeddingBackward a{1, 4, 1, ElementType::kFloat32, &zero, &zero, x, x};
    change(a);
    CHECK_THROWS_AS(cuda::embedding_backward(a, nullptr), std::invalid_argument);
  };
  refused([](auto& a) { a.width = 0; });
  refused([](auto& a) { a.width = 1 << 24; });
  refused([](auto& a) { a.rows = std::int64_t{1} << 31; });
  refused([](auto& a) { a.order = nullptr; });
  cuda::embedding_backward({0, 4, 1, ElementType::kFloat32, nullptr, nullptr, nullptr, nullptr},
                           nullptr);
}

}  // namespace
}  // namespace zebra::kernels::testing
