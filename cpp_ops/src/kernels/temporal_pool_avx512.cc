// temporal_pool for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"
#include "temporal_pool_lanes.h"

const bhar::TemporalPoolFn bhar::temporal_pool_f32_avx512 = run;

#else

const bhar::TemporalPoolFn bhar::temporal_pool_f32_avx512 = nullptr;

#endif
