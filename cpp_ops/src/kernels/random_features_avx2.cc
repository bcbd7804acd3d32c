// random_features for AVX2 + FMA.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"
#include "random_features_lanes.h"

const bhar::RandomFeaturesFn bhar::random_features_f32_avx2 = run;

#else

const bhar::RandomFeaturesFn bhar::random_features_f32_avx2 = nullptr;

#endif
