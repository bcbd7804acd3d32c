// gelu for AVX2 + FMA.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"
// Written for these lanes:
#include "gelu_lanes.h"

const bhar::GeluFn bhar::gelu_f32_avx2 = run;

#else

const bhar::GeluFn bhar::gelu_f32_avx2 = nullptr;

#endif
