#include "row_kernels.h"

namespace zebra::kernels {

const RowKernelTable* avx512_row_kernels() { return row_kernel_tables(); }

}  // namespace zebra::kernels
