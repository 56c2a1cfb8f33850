// Prints the launches of one row kernel. Arguments: its name, whether its type is float32, and the
// members of its arguments in their order, numbers and addresses (0: absent) alike. For
// "rms_norm_workspace" it prints the bytes.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "zebra_kernels/row_kernels_cuda.h"

using namespace zebra::kernels;

namespace {

/// The arguments of the program, one after another.
class Reader {
 public:
  Reader(int count, char** texts) : count_(count), texts_(texts) {}

  operator std::int64_t() { return std::strtoll(next(), nullptr, 10); }
  operator float() { return std::strtof(next(), nullptr); }
  template <class T>
  operator T*() {
    return reinterpret_cast<T*>(std::strtoull(next(), nullptr, 10));
  }
  template <class T>
  void into(T& member) {
    member = *this;
  }
  bool is_empty() const { return at_ == count_; }

 private:
  const char* next() {
    if (at_ == count_) std::exit(2);
    return texts_[at_++];
  }

  int count_, at_ = 0;
  char** texts_;
};

template <class... Members>
void read(Reader& reader, Members&... members) {
  (reader.into(members), ...);
}

void record_norm(const std::string& name, Reader& in, ElementType type) {
  RmsNormShape shape;
  read(in, shape.rows, shape.width);
  shape.type = type;
  if (name == "rms_norm_workspace") {
    std::printf("%zu\n", cuda::rms_norm_backward_workspace_bytes(shape));
  } else if (name == "rms_norm_forward") {
    RmsNormForward a;
    a.shape = shape;
    read(in, a.x, a.added, a.weight, a.eps, a.sum, a.out, a.inverse_rms);
    cuda::rms_norm_forward(a, nullptr);
  } else {
    RmsNormBackward a;
    a.shape = shape;
    read(in, a.sum, a.weight, a.inverse_rms, a.d_out, a.d_sum, a.d_x, a.d_weight, a.workspace);
    cuda::rms_norm_backward(a, nullptr);
  }
}

void record_swiglu(const std::string& name, Reader& in, ElementType type) {
  SwigluBackward a;
  read(in, a.shape.rows, a.shape.width, a.gate_up);
  a.shape.type = type;
  if (name == "swiglu_forward") {
    read(in, a.out);
    cuda::swiglu_forward({a.shape, a.gate_up, a.out}, nullptr);
  } else {
    read(in, a.d_out, a.d_gate_up, a.out);
    cuda::swiglu_backward(a, nullptr);
  }
}

void record_cross_entropy(Reader& in, ElementType type) {
  CrossEntropy a;
  a.type = type;
  read(in, a.rows, a.vocabulary, a.logits, a.targets, a.z_loss, a.cross_entropy, a.log_sum_exp,
       a.gradient);
  cuda::cross_entropy(a, nullptr);
}

void record_rotary(Reader& in, ElementType type) {
  Rotary a;
  a.type = type;
  std::int64_t inverse = 0;
  read(in, a.batch, a.length, a.heads, a.head_size);
  read(in, a.x.data, a.x.batch_stride, a.x.token_stride, a.x.head_stride);
  read(in, a.out.data, a.out.batch_stride, a.out.token_stride, a.out.head_stride);
  read(in, a.table.cos, a.table.sin, a.table.batch_stride, a.table.token_stride, inverse);
  a.inverse = inverse != 0;
  cuda::rotary(a, nullptr);
}

void record_adamw(Reader& in) {
  AdamwUpdate a;
  read(in, a.size, a.decayed_size, a.gradients, a.weights, a.first_moments, a.second_moments,
       a.rounded, a.lr, a.beta1, a.beta2, a.eps, a.weight_decay, a.step);
  cuda::adamw_update(a, nullptr);
}

void record_embedding(Reader& in, ElementType type) {
  EmbeddingBackward a;
  a.type = type;
  read(in, a.rows, a.width, a.vocabulary, a.sorted_tokens, a.order, a.d_out, a.d_weight);
  cuda::embedding_backward(a, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string name = argv[1];
  const ElementType type =
      std::strcmp(argv[2], "1") == 0 ? ElementType::kFloat32 : ElementType::kBfloat16;
  Reader in(argc - 3, argv + 3);
  if (name.rfind("rms_norm", 0) == 0) record_norm(name, in, type);
  if (name.rfind("swiglu", 0) == 0) record_swiglu(name, in, type);
  if (name == "cross_entropy") record_cross_entropy(in, type);
  if (name == "rotary") record_rotary(in, type);
  if (name == "adamw") record_adamw(in);
  if (name == "embedding") record_embedding(in, type);
  return in.is_empty() ? 0 : 2;
}
