// Prints what the kernels' headers say about each kernel as JSON: compiled by kernel_report with
// g++ and the emulated device, so that no number is written down twice.

#include <cstdio>

#include "ampere/launch.h"
#include "float32/kernels.h"

namespace {

bool first_line = true;

void print(const char* kernel_class, const char* kernel, int head_size, int threads, int blocks,
           int shared_bytes) {
  std::printf(
      "%s{\"class\": \"%s\", \"kernel\": \"%s\", \"head_size\": %d, \"threads\": %d, "
      "\"wanted_blocks\": %d, \"dynamic_shared_bytes\": %d",
      first_line ? "" : "},\n", kernel_class, kernel, head_size, threads, blocks, shared_bytes);
  first_line = false;
}

template <class Shape>
void print(const char* kernel, int head_size, int shared_bytes) {
  print("ampere", kernel, head_size, Shape::kThreads, Shape::kBlocks, shared_bytes);
  std::printf(
      ", \"tile\": {\"warps\": %d, \"rows\": %d, \"columns\": %d, \"stages\": %d, "
      "\"left_in_registers\": %d}",
      Shape::kWarps, Shape::kRows, Shape::kColumns, Shape::kStages,
      Shape::kFirstInRegisters + Shape::kSecondInRegisters);
}

template <int D>
void print_all() {
  namespace ampere = zebra::kernels::ampere;
  namespace float32 = zebra::kernels::float32;
  print("ampere", "prepare", D, ampere::kPrepareThreads, 1, 0);
  print<ampere::ForwardShape<D>>("forward", D, ampere::forward_shared_bytes<D>());
  print<ampere::QueryGradientShape<D>>("query_gradient", D,
                                       ampere::query_gradient_shared_bytes<D>());
  print<ampere::KeyValueGradientShape<D>>("key_value_gradient", D,
                                          ampere::key_value_gradient_shared_bytes<D>());
  for (const char* kernel : {"forward", "query_gradient", "key_value_gradient"}) {
    print("float32", kernel, D, float32::kThreads, 1, float32::kSharedBytes<D>);
  }
}

}  // namespace

int main() {
  std::printf("[");
  print_all<32>();
  print_all<64>();
  print_all<96>();
  print_all<128>();
  std::printf("}]\n");
}
