// temporal_pool for AVX2 + FMA.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"
#include "temporal_pool_lanes.h"

const bhar::TemporalPoolFn bhar::temporal_pool_f32_avx2 = run;

#else

const bhar::TemporalPoolFn bhar::temporal_pool_f32_avx2 = nullptr;

#endif
