// pairwise_tanh for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"
#include "pairwise_tanh_lanes.h"

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_avx512 = run;

#else

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_avx512 = nullptr;

#endif
