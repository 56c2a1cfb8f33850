#include "backward.h"

namespace zebra::kernels {

const KernelTable* avx512_kernels() { return kernel_tables<FloatProduct, FloatProduct>(); }

}  // namespace zebra::kernels
