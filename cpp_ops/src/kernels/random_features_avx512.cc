// random_features for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"
#include "random_features_lanes.h"

const bhar::RandomFeaturesFn bhar::random_features_f32_avx512 = run;

#else

const bhar::RandomFeaturesFn bhar::random_features_f32_avx512 = nullptr;

#endif
