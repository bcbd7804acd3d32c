// gelu for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"
// Written for these lanes:
#include "gelu_lanes.h"

const bhar::GeluFn bhar::gelu_f32_avx512 = run;

#else

const bhar::GeluFn bhar::gelu_f32_avx512 = nullptr;

#endif
