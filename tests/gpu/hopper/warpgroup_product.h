#pragma once

// C[64, N] += A[64, 16] B[16, N] by the 128 threads of a warpgroup, bfloat16 with float32 sums.
// With g = lane / 4 and q = 2 (lane % 4), warp w of the warpgroup has
//   c[4 j], c[4 j + 1]      C[16 w + g, 8 j + q .. q + 1]
//   c[4 j + 2], c[4 j + 3]  C[16 w + g + 8, 8 j + q .. q + 1]
// and A in registers as device.h's multiply_add has it, rows 16 w ... B is from shared memory.
// kTransposed: the operand's tile lies with K outermost.

#include "primitives.h"

#define ZEBRA_C4(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define ZEBRA_C16(i) ZEBRA_C4(i), ZEBRA_C4(i + 4), ZEBRA_C4(i + 8), ZEBRA_C4(i + 12)
#define ZEBRA_C32 ZEBRA_C16(0), ZEBRA_C16(16)
#define ZEBRA_C64 ZEBRA_C32, ZEBRA_C16(32), ZEBRA_C16(48)
#define ZEBRA_NAMES_32                                                               \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define ZEBRA_NAMES_64                                                                 \
  ZEBRA_NAMES_32                                                                       \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

namespace zebra::hopper {

template <bool kTransposedA, bool kTransposedB>
ZEBRA_DEVICE void multiply_add(float (&c)[32], std::uint64_t a, std::uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ZEBRA_NAMES_32
               "}, %32, %33, 1, 1, 1, %34, %35;"
               : ZEBRA_C32
               : "l"(a), "l"(b), "n"(static_cast<int>(kTransposedA)),
                 "n"(static_cast<int>(kTransposedB)));
}
template <bool kTransposedA, bool kTransposedB>
ZEBRA_DEVICE void multiply_add(float (&c)[64], std::uint64_t a, std::uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ZEBRA_NAMES_64
               "}, %64, %65, 1, 1, 1, %66, %67;"
               : ZEBRA_C64
               : "l"(a), "l"(b), "n"(static_cast<int>(kTransposedA)),
                 "n"(static_cast<int>(kTransposedB)));
}
template <bool kTransposedB>
ZEBRA_DEVICE void multiply_add(float (&c)[32], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ZEBRA_NAMES_32
               "}, {%32, %33, %34, %35}, %36, 1, 1, 1, %37;"
               : ZEBRA_C32
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b),
                 "n"(static_cast<int>(kTransposedB)));
}
template <bool kTransposedB>
ZEBRA_DEVICE void multiply_add(float (&c)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ZEBRA_NAMES_64
               "}, {%64, %65, %66, %67}, %68, 1, 1, 1, %69;"
               : ZEBRA_C64
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b),
                 "n"(static_cast<int>(kTransposedB)));
}

}  // namespace zebra::hopper

#undef ZEBRA_C4
#undef ZEBRA_C16
#undef ZEBRA_C32
#undef ZEBRA_C64
#undef ZEBRA_NAMES_32
#undef ZEBRA_NAMES_64
