#include "zebra_kernels/embedding.h"

#include "csrc_kernels/row_run.h"

namespace zebra::kernels::testing {
namespace {

struct EmbeddingRun {
  explicit EmbeddingRun(const EmbeddingInputs& in)
      : inputs(in),
        d_out(in.type, in.d_out),
        d_weight(ElementType::kFloat32, in.vocabulary * in.width) {
    fill(d_weight, in.d_weight);
  }

  EmbeddingBackward arguments() {
    EmbeddingBackward a;
    a.rows = inputs.rows;
    a.width = inputs.width;
    a.vocabulary = inputs.vocabulary;
    a.type = inputs.type;
    a.sorted_tokens = inputs.sorted_tokens.data();
    a.order = inputs.order.data();
    a.d_out = d_out.data();
    a.d_weight = static_cast<float*>(d_weight.data());
    return a;
  }
  void with(const ParallelFor& parallel_for, InstructionSet set) {
    embedding_backward(arguments(), parallel_for, set);
  }
  bool same_bits(const EmbeddingRun& other) const { return d_weight == other.d_weight; }

  const EmbeddingInputs& inputs;
  Input d_out;
  Buffer d_weight;
};

TEST_CASE("the gradient of an embedding has the bits that its definition names") {
  for (const auto type : kTypes) {
    for (const std::int64_t width : {1, 5, 16, 31, 33, 127, 128, 129, 300}) {
      for (const std::int64_t rows : {1, 2, 31, 32, 33, 200}) {
        for (const std::int64_t vocabulary : {1, 3, 50}) {
          const EmbeddingInputs in(rows, width, vocabulary, type,
                                   static_cast<std::uint64_t>(rows + width));
          const auto expected = embedding_reference<float>(in);
          for (const auto set : supported_sets()) {
            INFO(instruction_set_name(set)
                 << " " << rows << " x " << width << " of " << vocabulary << text_of(type));
            EmbeddingRun run(in);
            run.with(serial, set);
            CHECK(values_of(run.d_weight, expected.size()) == expected);
            CHECK(run.d_weight.guards_untouched());
          }
        }
      }
    }
  }
}

TEST_CASE("the gradient of an embedding is the sum that it must be") {
  const EmbeddingInputs in(500, 40, 60, ElementType::kBfloat16, 2);
  const auto exact = embedding_reference<double>(in), naive = embedding_reference<float>(in);
  for (const auto set : supported_sets()) {
    EmbeddingRun run(in);
    run.with(serial, set);
    CHECK(errors_of_rows("d_weight", values_of(run.d_weight, exact.size()), naive, exact,
                         ElementType::kFloat32, in.width) == "");
  }
}

TEST_CASE("the gradient of an embedding has the same bits on any number of threads") {
  for (const auto type : kTypes) {
    const EmbeddingInputs in(1000, 260, 77, type, 5);
    for (const auto set : supported_sets()) {
      EmbeddingRun first(in);
      first.with(serial, set);
      check_any_threads(first, in, set);
    }
  }
}

TEST_CASE("a non-finite row of an embedding's gradient reaches its own token alone") {
  EmbeddingInputs in(40, 33, 20, ElementType::kBfloat16, 5);
  const auto position = std::size_t{39};
  in.d_out[at(in.order[position] * 33 + 32)] = std::nan("");
  for (const auto set : supported_sets()) {
    EmbeddingRun run(in);
    run.with(serial, set);
    for (std::int64_t i = 0; i < 20 * 33; ++i)
      CHECK(std::isnan(run.d_weight.get(i)) == (i == in.sorted_tokens[position] * 33 + 32));
  }
}

TEST_CASE("the gradient of an embedding refuses what it cannot do") {
  EmbeddingInputs in(6, 4, 10, ElementType::kFloat32, 1);
  EmbeddingRun run(in);
  const auto refuse = refusal_of(embedding_backward, [&] { return run.arguments(); });
  refuse([](auto& a) { a.rows = -1; });
  refuse([](auto& a) { a.width = 0; });
  refuse([](auto& a) { a.vocabulary = 0; });
  refuse([](auto& a) { a.vocabulary = a.sorted_tokens[5]; });
  refuse([](auto& a) { a.sorted_tokens = nullptr; });
  refuse([](auto& a) { a.order = nullptr; });
  refuse([](auto& a) { a.d_out = nullptr; });
  refuse([](auto& a) { a.d_weight = nullptr; });
  const auto tokens = in.sorted_tokens, order = in.order;
  in.sorted_tokens[0] = -1;
  refuse([](auto&) {});
  in.sorted_tokens = tokens;
  std::swap(in.sorted_tokens[0], in.sorted_tokens[5]);
  refuse([](auto&) {});
  in.sorted_tokens = tokens;
  for (const std::int64_t row : {-1, 6}) {
    in.order[2] = row;
    refuse([](auto&) {});
  }
  in.order = order;
  CHECK(run.d_weight == EmbeddingRun(in).d_weight);
}

}  // namespace
}  // namespace zebra::kernels::testing
