#include "backward.h"

namespace zebra::kernels {

const KernelTable* avx512_bf16_kernels() { return kernel_tables<FloatProduct, Bfloat16Product>(); }

}  // namespace zebra::kernels
