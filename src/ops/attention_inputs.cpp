#include "ops/attention_inputs.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/fused_kernels.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x [B, T, H, D]; cos and sin [.., T, 1, D / 2].
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  const auto half = x.size(-1) / 2;
  const auto first = x.narrow(-1, 0, half).to(torch::kFloat32);
  const auto second = x.narrow(-1, half, half).to(torch::kFloat32);
  auto out = torch::empty(x.sizes(), x.options());
  out.narrow(-1, 0, half).copy_((first * cos).addcmul_(second, sin, -1));
  out.narrow(-1, half, half).copy_((second * cos).addcmul_(first, sin));
  return out;
}

// The transpose of a rotation is the rotation by the opposite angle.
class RotaryFunction : public torch::autograd::Function<RotaryFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& cos, const torch::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate(gradients[0], saved[0], saved[1].neg()), torch::Tensor(), torch::Tensor()};
  }
};

// x and out are [B, T, H, D] with contiguous heads.
void fused_rotate(const torch::Tensor& x, const torch::Tensor& out, const torch::Tensor& cos,
                  const torch::Tensor& sin, bool inverse) {
  launch(
      kernels::Rotary{.batch = x.size(0),
                      .length = x.size(1),
                      .heads = x.size(2),
                      .head_size = x.size(3),
                      .type = element_type(x),
                      .x = {x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)},
                      .out = {out.mutable_data_ptr(), out.stride(0), out.stride(1), out.stride(2)},
                      .table = {cos.const_data_ptr<float>(), sin.const_data_ptr<float>(),
                                cos.dim() == 3 ? cos.stride(0) : 0, cos.stride(-2)},
                      .inverse = inverse},
      x.device());
}

class PackedRotaryFunction : public torch::autograd::Function<PackedRotaryFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& heads,
                               std::int64_t query_heads, const torch::Tensor& cos,
                               const torch::Tensor& sin) {
    const PackedHeads packed = {heads, query_heads};
    const auto rotated_heads = query_heads + packed.key_heads();
    const auto rotated =
        torch::empty({heads.size(0), heads.size(1), rotated_heads, heads.size(3)}, heads.options());
    fused_rotate(heads.narrow(2, 0, rotated_heads), rotated, cos, sin, /*inverse=*/false);
    context->save_for_backward({cos, sin});
    context->saved_data["query_heads"] = query_heads;
    context->saved_data["sizes"] = heads.sizes().vec();
    return {rotated.narrow(2, 0, query_heads), rotated.narrow(2, query_heads, packed.key_heads()),
            packed.v().detach()};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const PackedHeads gradient = {torch::empty(sizes, gradients[0].options()),
                                  context->saved_data["query_heads"].toInt()};
    const auto readable = [](const torch::Tensor& x) {
      return x.stride(-1) == 1 ? x : x.contiguous();
    };
    fused_rotate(readable(gradients[0]), gradient.q(), saved[0], saved[1], /*inverse=*/true);
    fused_rotate(readable(gradients[1]), gradient.k(), saved[0], saved[1], /*inverse=*/true);
    gradient.v().copy_(gradients[2]);
    return {gradient.heads, {}, {}, {}};
  }
};

torch::Tensor offsets_of(const std::vector<std::int64_t>& lengths) {
  const auto offsets = torch::zeros({static_cast<std::int64_t>(lengths.size()) + 1}, torch::kInt32);
  auto* offset = offsets.mutable_data_ptr<std::int32_t>();
  for (const auto length : lengths) {
    offset[1] = offset[0] + static_cast<std::int32_t>(length);
    ++offset;
  }
  return offsets;
}

}  // namespace

PackedDocuments PackedDocuments::from_starts(const std::vector<std::vector<std::int64_t>>& starts,
                                             std::int64_t sequence_length) {
  PackedDocuments documents;
  const auto batch = static_cast<std::int64_t>(starts.size());
  documents.first_token = torch::empty({batch, sequence_length}, torch::kInt64);
  auto* first_token = documents.first_token.mutable_data_ptr<std::int64_t>();
  for (std::size_t row = 0; row < starts.size(); ++row) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i <= starts[row].size(); ++i) {
      const std::int64_t end = i < starts[row].size() ? starts[row][i] : sequence_length;
      TORCH_CHECK(end > begin && end <= sequence_length,
                  "document starts must ascend within the sequence");
      std::fill(first_token + begin, first_token + end, begin);
      documents.lengths.push_back(end - begin);
      begin = end;
    }
    first_token += sequence_length;
  }
  documents.offsets = offsets_of(documents.lengths);
  return documents;
}

PackedDocuments PackedDocuments::part_of(const ContextShare& share) const {
  if (share.is_whole()) return *this;
  PackedDocuments part;
  part.first_token = share.part_of(first_token);
  return part;
}

PackedDocuments PackedDocuments::pinned() const {
  PackedDocuments pinned = *this;
  if (!is_packed()) return pinned;
  pinned.first_token = first_token.pin_memory();
  if (offsets.defined()) pinned.offsets = offsets.pin_memory();
  return pinned;
}

PackedDocuments PackedDocuments::to(torch::Device device) const {
  PackedDocuments moved = *this;
  if (!is_packed()) return moved;
  moved.first_token = first_token.to(device, /*non_blocking=*/true);
  if (offsets.defined()) moved.offsets = offsets.to(device, /*non_blocking=*/true);
  return moved;
}

torch::Tensor apply_rotary(const torch::Tensor& x, const RotaryFactors& factors) {
  if (!factors.defined()) return x;
  TORCH_CHECK(x.dim() == 4 && x.size(-1) % 2 == 0,
              "apply_rotary wants [B, T, H, D] with an even D, got ", x.sizes());
  TORCH_CHECK(factors.cos.size(-2) == x.size(1) && factors.cos.size(-1) * 2 == x.size(-1),
              "rotary factors ", factors.cos.sizes(), " do not fit x ", x.sizes());
  return RotaryFunction::apply(x, factors.cos.unsqueeze(-2), factors.sin.unsqueeze(-2));
}

RotatedHeads packed_rotary(const PackedHeads& packed, const RotaryFactors& factors) {
  if (!factors.defined()) return {packed.q(), packed.k(), packed.v()};
  const auto& heads = packed.heads;
  if (!uses_fused_kernels(heads) || heads.stride(-1) != 1) {
    return {apply_rotary(packed.q(), factors), apply_rotary(packed.k(), factors), packed.v()};
  }
  const auto rotated =
      PackedRotaryFunction::apply(heads, packed.query_heads, factors.cos, factors.sin);
  return {rotated[0], rotated[1], rotated[2]};
}

}  // namespace zebra
