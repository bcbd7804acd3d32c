// pairwise_tanh for AVX2 + FMA.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"
#include "pairwise_tanh_lanes.h"

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_avx2 = run;

#else

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_avx2 = nullptr;

#endif
