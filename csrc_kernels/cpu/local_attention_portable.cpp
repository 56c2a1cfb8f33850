#include "backward.h"

namespace zebra::kernels {

const KernelTable* portable_kernels() { return kernel_tables<FloatProduct, FloatProduct>(); }

}  // namespace zebra::kernels
