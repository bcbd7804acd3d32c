// pairwise_tanh for NEON.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"
#include "pairwise_tanh_lanes.h"

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_neon = run;

#else

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_neon = nullptr;

#endif
