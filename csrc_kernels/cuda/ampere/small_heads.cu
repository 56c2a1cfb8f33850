#include "launch.h"

namespace zebra::kernels::ampere {

template void forward<32>(const LocalAttentionForward&, void*, CUstream_st*);
template void backward<32>(const LocalAttentionBackward&, const void*, CUstream_st*);
template void forward<64>(const LocalAttentionForward&, void*, CUstream_st*);
template void backward<64>(const LocalAttentionBackward&, const void*, CUstream_st*);

}  // namespace zebra::kernels::ampere
