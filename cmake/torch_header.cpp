// The one source of the target whose precompiled header all files with LibTorch share.

#ifndef _OPENMP
#error "Without -fopenmp every at::parallel_for in these files would run on one thread."
#endif
