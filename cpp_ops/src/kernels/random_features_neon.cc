// random_features for NEON.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"
#include "random_features_lanes.h"

const bhar::RandomFeaturesFn bhar::random_features_f32_neon = run;

#else

const bhar::RandomFeaturesFn bhar::random_features_f32_neon = nullptr;

#endif
