#pragma once

#include <cstddef>

#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

struct CUstream_st;  // what a cudaStream_t points to

namespace zebra::kernels::cuda {

// The kernels of these headers on a CUDA GPU of compute capability 8.0 or later, with the same
// definitions and rounding. All pointers, AdamwUpdate::step among them, are to memory of the
// current device, and what lies there is not checked; work is put on `stream` and nothing waits for
// it. The same bits come out on every call on every GPU of one architecture.
//
// A token that occurs more than 64 times in embedding_backward is summed in 16 parts, each in
// ascending order, and then the parts in theirs.
//
// Limits: fewer than 2^31 rows of fewer than 2^30 elements; embeddings at most 8 million wide;
// fewer than 2^42 elements of AdamW. Arrays of any width and alignment of their own type work; rows
// whose size and address are multiples of 16 bytes are read and written 16 bytes at a time.
//
// All throw std::invalid_argument before any work, and std::runtime_error when CUDA refuses.

void rms_norm_forward(const RmsNormForward& arguments, CUstream_st* stream);
void rms_norm_backward(const RmsNormBackward& arguments, CUstream_st* stream);
/// Of the workspace that rms_norm_backward needs on a GPU, aligned to 256.
std::size_t rms_norm_backward_workspace_bytes(const RmsNormShape& shape);

void swiglu_forward(const SwigluForward& arguments, CUstream_st* stream);
void swiglu_backward(const SwigluBackward& arguments, CUstream_st* stream);

void cross_entropy(const CrossEntropy& arguments, CUstream_st* stream);
void rotary(const Rotary& arguments, CUstream_st* stream);
void adamw_update(const AdamwUpdate& arguments, CUstream_st* stream);
void embedding_backward(const EmbeddingBackward& arguments, CUstream_st* stream);

}  // namespace zebra::kernels::cuda
