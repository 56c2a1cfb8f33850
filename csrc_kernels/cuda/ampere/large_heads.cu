#include "launch.h"

namespace zebra::kernels::ampere {

template void forward<96>(const LocalAttentionForward&, void*, CUstream_st*);
template void backward<96>(const LocalAttentionBackward&, const void*, CUstream_st*);
template void forward<128>(const LocalAttentionForward&, void*, CUstream_st*);
template void backward<128>(const LocalAttentionBackward&, const void*, CUstream_st*);

}  // namespace zebra::kernels::ampere
