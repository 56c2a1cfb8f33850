#include "zebra_kernels/attention_tensors.h"

#include <stdexcept>
#include <string>

#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

TensorDescription tensor(std::vector<std::int64_t> sizes, TensorType type = TensorType::kFloat32) {
  TensorDescription x;
  x.strides.assign(sizes.size(), 1);
  for (auto i = sizes.size() - 1; i > 0; --i) x.strides[i - 1] = x.strides[i] * sizes[i];
  x.sizes = std::move(sizes);
  x.type = type;
  x.type_name = type == TensorType::kFloat32 ? "Float" : "Other";
  x.device = "cpu";
  return x;
}

/// B = 2, T = 5, Hq = 4, Hkv = 2, D = 8.
AttentionTensors fitting() {
  AttentionTensors tensors;
  tensors.q = tensor({2, 5, 4, 8});
  tensors.k = tensors.v = tensor({2, 5, 2, 8});
  tensors.window = 3;
  return tensors;
}

std::string refusal(const AttentionTensors& tensors) {
  try {
    check(tensors);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("tensors that fit are described to a kernel by their strides") {
  const float table[1] = {};
  const std::int64_t first_token[1] = {};
  auto tensors = fitting();
  tensors.q.strides = {400, 80, 8, 1};  // a slice of a packed projection
  tensors.cos = tensors.sin = tensor({5, 4});
  tensors.cos->data = tensors.sin->data = table;
  tensors.first_token = tensor({2, 5}, TensorType::kInt64);
  tensors.first_token->data = first_token;
  REQUIRE(refusal(tensors) == "accepted");

  auto inputs = attention_inputs(tensors);
  const auto& s = inputs.shape;
  REQUIRE((s.batch == 2 && s.length == 5 && s.query_heads == 4 && s.key_heads == 2));
  REQUIRE((s.head_size == 8 && s.window == 3 && s.type == ElementType::kFloat32));
  REQUIRE((inputs.q.batch_stride == 400 && inputs.q.token_stride == 80));
  REQUIRE(
      (inputs.k.batch_stride == 80 && inputs.k.token_stride == 16 && inputs.k.head_stride == 8));
  REQUIRE((inputs.rotary.cos == table && inputs.rotary.batch_stride == 0));
  REQUIRE(inputs.rotary.token_stride == 4);
  REQUIRE(inputs.first_token == first_token);

  tensors.cos = tensors.sin = tensor({2, 5, 4});
  tensors.first_token.reset();
  for (auto* x : {&tensors.q, &tensors.k, &tensors.v}) x->type = TensorType::kBfloat16;
  REQUIRE(refusal(tensors) == "accepted");
  inputs = attention_inputs(tensors);
  REQUIRE(inputs.shape.type == ElementType::kBfloat16);
  REQUIRE((inputs.rotary.batch_stride == 20 && inputs.rotary.token_stride == 4));
  REQUIRE(inputs.first_token == nullptr);
}

TEST_CASE("tensors that do not fit are refused with a sentence") {
  using Tensors = AttentionTensors;
  const auto refuse = [](const char* what, const auto& change) {
    auto tensors = fitting();
    change(tensors);
    INFO(what << " in " << refusal(tensors));
    REQUIRE(refusal(tensors).find(what) != std::string::npos);
  };
  refuse("[B, T, Hq, D]", [](Tensors& t) { t.q = tensor({5, 4, 8}); });
  refuse("[2, 5, 2, 6]", [](Tensors& t) { t.v = tensor({2, 5, 2, 6}); });
  refuse("agree in B, T and D", [](Tensors& t) { t.k = t.v = tensor({2, 4, 2, 8}); });
  refuse("got 4 and 3", [](Tensors& t) { t.k = t.v = tensor({2, 5, 3, 8}); });
  refuse("got 4 and 0", [](Tensors& t) { t.k = t.v = tensor({2, 5, 0, 8}); });
  refuse("all bfloat16", [](Tensors& t) { t.k.type = TensorType::kBfloat16; });
  refuse("all float32", [](Tensors& t) { t.q.type = t.k.type = t.v.type = TensorType::kInt64; });
  refuse("cannot be negative, got -1", [](Tensors& t) { t.window = -1; });
  refuse("given together", [](Tensors& t) { t.cos = tensor({5, 4}); });
  for (const auto& sizes : {std::vector<std::int64_t>{5, 8}, {4, 4}, {1, 5, 4}, {5}}) {
    refuse("[T, D / 2]", [&](Tensors& t) { t.cos = t.sin = tensor(sizes); });
  }
  refuse("[T, D / 2]", [](Tensors& t) {
    t.cos = tensor({5, 4});
    t.sin = tensor({2, 5, 4});
  });
  refuse("int64 [B, T], got Float", [](Tensors& t) { t.first_token = tensor({2, 5}); });
  refuse("int64 [B, T]", [](Tensors& t) { t.first_token = tensor({1, 5}, TensorType::kInt64); });
  refuse("got cpu and cuda:0", [](Tensors& t) { t.v.device = "cuda:0"; });
}

TEST_CASE("a packed projection holds queries, and as many keys as values") {
  REQUIRE_NOTHROW(check_packed({2, 5, 8, 16}, 4));
  for (const std::int64_t query_heads : {0, -1, 3, 8, 9}) {
    REQUIRE_THROWS_AS(check_packed({2, 5, 8, 16}, query_heads), std::invalid_argument);
  }
  REQUIRE_THROWS_AS(check_packed({5, 8, 16}, 4), std::invalid_argument);
}

}  // namespace
}  // namespace zebra::kernels::testing
