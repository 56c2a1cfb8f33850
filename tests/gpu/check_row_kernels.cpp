// The row kernels on a real GPU: each, with rows of one warp, of several and with odd sizes,
// against its definition, and the same bits on repetition.

#include <cstring>
#include <functional>
#include <utility>

#include "csrc_kernels/local_attention_run.h"
#include "csrc_kernels/row_references.h"
#include "gpu/gpu_check.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::testing {
namespace {

constexpr auto kFloat = ElementType::kFloat32;

class DeviceArray {
 public:
  DeviceArray(ElementType type, std::int64_t count)
      : type_(type), count_(count), array_(type, count) {}
  DeviceArray(ElementType type, const Values& values)
      : DeviceArray(type, static_cast<std::int64_t>(values.size())) {
    for (std::int64_t i = 0; i < count_; ++i) array_.set(i, values[at(i)]);
  }

  void* data() { return array_.data(); }
  float* floats() { return static_cast<float*>(data()); }
  Values values() const {
    Values values(at(count_));
    for (std::int64_t i = 0; i < count_; ++i) values[at(i)] = array_.get(i);
    return values;
  }
  std::string errors(const char* what, const Values& naive, const Values& exact,
                     std::int64_t width) const {
    return errors_of_rows(what, values(), naive, exact, type_, width) + strays(what);
  }
  std::string strays(const char* what) const {
    return array_.guards_untouched() ? "" : std::string(what) + ": wrote outside; ";
  }

 private:
  ElementType type_;
  std::int64_t count_;
  Array<MappedMemory> array_;
};

/// What a run wrote, and what was wrong with it.
struct Outcome {
  std::vector<Values> written;
  std::string errors;
};

void wait() { check_cuda(cudaDeviceSynchronize()); }

Outcome norm(ElementType type, std::int64_t width) {
  constexpr std::int64_t kRows = 9;
  const RmsNormInputs in({kRows, width, type}, 3, true, true);
  const auto naive = rms_norm_reference<float>(in), exact = rms_norm_reference<double>(in);
  DeviceArray x(type, in.x), added(type, in.added), weight(type, in.weight), d_out(type, in.d_out),
      d_sum(type, in.d_sum), sum(type, kRows * width), out(type, kRows * width),
      d_x(type, kRows * width), inverse_rms(kFloat, kRows), d_weight(kFloat, width);
  DeviceArray workspace(
      kFloat, static_cast<std::int64_t>(cuda::rms_norm_backward_workspace_bytes(in.shape) / 4));
  cuda::rms_norm_forward({in.shape, x.data(), added.data(), weight.data(), in.eps, sum.data(),
                          out.data(), inverse_rms.floats()},
                         nullptr);
  cuda::rms_norm_backward({in.shape, sum.data(), weight.data(), inverse_rms.floats(), d_out.data(),
                           d_sum.data(), d_x.data(), d_weight.floats(), workspace.data()},
                          nullptr);
  wait();
  return {{out.values(), inverse_rms.values(), d_x.values(), d_weight.values()},
          (sum.values() == exact.sum ? "" : "sum is not the rounded sum; ") +
              out.errors("out", naive.out, exact.out, width) +
              inverse_rms.errors("inverse_rms", naive.inverse_rms, exact.inverse_rms, 1) +
              d_x.errors("d_x", naive.d_x, exact.d_x, width) +
              d_weight.errors("d_weight", naive.d_weight, exact.d_weight, width) +
              sum.strays("sum") + workspace.strays("workspace")};
}

Outcome swiglu(ElementType type, std::int64_t width) {
  constexpr std::int64_t kRows = 11;
  const SwigluInputs in({kRows, width, type}, 5);
  const auto naive = swiglu_reference<float>(in), exact = swiglu_reference<double>(in);
  DeviceArray gate_up(type, in.gate_up), d_out(type, in.d_out), out(type, kRows * width),
      again(type, kRows * width), d_gate_up(type, 2 * kRows * width);
  cuda::swiglu_forward({in.shape, gate_up.data(), out.data()}, nullptr);
  cuda::swiglu_backward({in.shape, gate_up.data(), d_out.data(), d_gate_up.data(), again.data()},
                        nullptr);
  wait();
  return {{out.values(), d_gate_up.values()},
          out.errors("out", naive.out, exact.out, width) +
              d_gate_up.errors("d_gate_up", naive.d_gate_up, exact.d_gate_up, width) +
              (again.values() == out.values() ? "" : "the backward's out is another; ")};
}

Outcome loss(ElementType type, std::int64_t vocabulary) {
  constexpr std::int64_t kRows = 8;
  const CrossEntropyInputs in(kRows, vocabulary, type, 5);
  const auto naive = cross_entropy_reference<float>(in),
             exact = cross_entropy_reference<double>(in);
  DeviceArray logits(type, in.logits), losses(kFloat, kRows), log_sum_exp(kFloat, kRows),
      gradient(type, kRows * vocabulary);
  const Table<MappedMemory, std::int64_t> targets(in.targets);
  cuda::cross_entropy({kRows, vocabulary, type, logits.data(), targets.data(), in.z_loss,
                       losses.floats(), log_sum_exp.floats(), gradient.data()},
                      nullptr);
  wait();
  Values others = gradient.values(), of_targets(at(kRows));
  for (std::int64_t row = 0; row < kRows; ++row)
    if (const auto target = in.targets[at(row)]; target != kNoTarget)
      std::swap(others[at(row * vocabulary + target)], of_targets[at(row)]);
  return {{losses.values(), log_sum_exp.values(), gradient.values()},
          losses.errors("cross_entropy", naive.cross_entropy, exact.cross_entropy, 1) +
              log_sum_exp.errors("log_sum_exp", naive.log_sum_exp, exact.log_sum_exp, 1) +
              errors_of_rows("gradient", others, naive.gradient, exact.gradient, type, vocabulary) +
              errors_of_rows("gradient of targets", of_targets, naive.of_targets, exact.of_targets,
                             type, 1) +
              gradient.strays("gradient")};
}

Outcome rotary(ElementType type, std::int64_t head_size) {
  const RotaryInputs in(2, 33, 5, head_size, type, 5);
  const auto naive = rotary_reference<float>(in, false, false),
             exact = rotary_reference<double>(in, false, false);
  DeviceArray x(type, in.x), out(type, static_cast<std::int64_t>(in.x.size()));
  const Table<MappedMemory, float> cos(in.cos), sin(in.sin);
  const std::int64_t row = in.heads * head_size, half = head_size / 2;
  kernels::Rotary a;
  a.batch = in.batch, a.length = in.length, a.heads = in.heads, a.head_size = head_size;
  a.type = type;
  a.x = {x.data(), in.length * row, row, head_size};
  a.out = {out.data(), in.length * row, row, head_size};
  a.table = {cos.data(), sin.data(), in.length * half, half};
  cuda::rotary(a, nullptr);
  wait();
  return {{out.values()}, out.errors("out", naive, exact, head_size)};
}

Outcome adamw(ElementType, std::int64_t size) {
  const AdamwInputs in(size, size / 3, 5);
  const auto naive = adamw_reference<float>(in), exact = adamw_reference<double>(in);
  DeviceArray gradients(kFloat, in.gradients), weights(kFloat, in.weights),
      first(kFloat, in.first_moments), second(kFloat, in.second_moments),
      rounded_weights(ElementType::kBfloat16, size);
  const Table<MappedMemory, AdamwStep> step({in.step});
  cuda::adamw_update(
      {size, in.decayed_size, gradients.floats(), weights.floats(), first.floats(), second.floats(),
       rounded_weights.data(), in.lr, in.beta1, in.beta2, in.eps, in.weight_decay, step.data()},
      nullptr);
  wait();
  Values expected;
  for (const double x : weights.values()) expected.push_back(rounded(x, ElementType::kBfloat16));
  return {{weights.values(), first.values(), second.values()},
          weights.errors("weights", naive.weights, exact.weights, size) +
              first.errors("first moments", naive.first_moments, exact.first_moments, size) +
              second.errors("second moments", naive.second_moments, exact.second_moments, size) +
              (rounded_weights.values() == expected ? "" : "rounded is not the rounded weights; ")};
}

/// A third of the rows is one token, which several warps sum.
Outcome embedding(ElementType type, std::int64_t width) {
  const EmbeddingInputs in(250, width, 40, type, 5);
  DeviceArray d_out(type, in.d_out), d_weight(kFloat, in.d_weight);
  const Table<MappedMemory, std::int64_t> tokens(in.sorted_tokens), order(in.order);
  cuda::embedding_backward({in.rows, width, in.vocabulary, type, tokens.data(), order.data(),
                            d_out.data(), d_weight.floats()},
                           nullptr);
  wait();
  return {{d_weight.values()},
          d_weight.errors("d_weight", embedding_reference<float>(in),
                          embedding_reference<double>(in), width)};
}

struct Kernel {
  const char* name;
  std::function<Outcome(ElementType, std::int64_t)> run;
  std::vector<std::int64_t> sizes;
};

int run() {
  const Kernel kernels[] = {
      {"RMSNorm", norm, {40, 1032, 1025, 4104}},   {"SwiGLU", swiglu, {32, 255, 2056}},
      {"cross-entropy", loss, {259, 1032, 32768}}, {"rotary", rotary, {64, 128, 6}},
      {"AdamW", adamw, {7, 2049, 5003}},           {"embedding", embedding, {40, 1031}}};
  Report report;
  for (const auto& kernel : kernels)
    for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16})
      for (const auto size : kernel.sizes) {
        const std::string title = std::string(kernel.name) + " of " + std::to_string(size) +
                                  (type == kFloat ? " float32: " : " bfloat16: ");
        const auto first = kernel.run(type, size), second = kernel.run(type, size);
        report.add(first.errors.empty() ? "" : title + first.errors);
        report.add(first.written == second.written ? "" : title + "other bits on repetition");
      }
  return report.finish();
}

}  // namespace
}  // namespace zebra::kernels::testing

int main() { return zebra::kernels::testing::exit_status_of(zebra::kernels::testing::run); }
