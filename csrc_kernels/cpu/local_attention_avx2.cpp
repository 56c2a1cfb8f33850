#include "backward.h"

namespace zebra::kernels {

const KernelTable* avx2_kernels() { return kernel_tables<FloatProduct, FloatProduct>(); }

}  // namespace zebra::kernels
