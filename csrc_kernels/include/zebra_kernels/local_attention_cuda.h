#pragma once

#include "zebra_kernels/local_attention.h"

struct CUstream_st;  // what a cudaStream_t points to

namespace zebra::kernels::cuda {

// The attention of local_attention.h on a CUDA GPU of compute capability 8.0 or later. All pointers
// are to memory of the current device; work is put on `stream` and nothing waits for it.
//
// Rounding. bfloat16: matrix products take bfloat16 and sum in float32; the rotated q and k, the
// softmax weights (relative to the largest so far) and the score gradients are rounded to bfloat16
// before they enter a product; all else as in local_attention.h. float32: float32 throughout, no
// tensor cores; for checks, not for speed. The same bits come out on every call on every GPU of one
// architecture.
//
// A non-finite row of q, k, v or d_out reaches no other sequence, no head that does not use it, and
// only tiles of 128 tokens that meet the tile that holds it inside the window.
//
// Limits: head_size 32, 64, 96 or 128; fewer than 2^30 tokens in all sequences, padded; at most
// 65,535 query heads and sequences. bfloat16 rows must be aligned to 16 bytes and their strides
// multiples of 8 elements; rotary tables to 16 bytes and 4 floats; float32 rows need neither.

/// Whether a kernel for the head size exists.
bool has_local_attention(std::int64_t head_size);

/// What the forward leaves for the backward. bfloat16: rotated keys and what each token sees,
/// O(batch x length x key_heads x head_size). float32: nothing, 0.
std::size_t local_attention_saved_bytes(const LocalAttentionShape& shape);

/// O(batch x length x query_heads x head_size).
std::size_t local_attention_backward_workspace_bytes(const LocalAttentionShape& shape);

/// `saved` has local_attention_saved_bytes(shape) bytes, aligned to 256; the backward takes it as
/// the forward with the same inputs left it. `workspace` of the backward is aligned to 256 too.
/// Both throw std::invalid_argument before any work, and std::runtime_error when CUDA refuses.
/// first_token is not checked: it lies on the device.
void local_attention_forward(const LocalAttentionForward& arguments, void* saved,
                             CUstream_st* stream);
void local_attention_backward(const LocalAttentionBackward& arguments, const void* saved,
                              CUstream_st* stream);

}  // namespace zebra::kernels::cuda
