// temporal_pool for NEON.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"
#include "temporal_pool_lanes.h"

const bhar::TemporalPoolFn bhar::temporal_pool_f32_neon = run;

#else

const bhar::TemporalPoolFn bhar::temporal_pool_f32_neon = nullptr;

#endif
