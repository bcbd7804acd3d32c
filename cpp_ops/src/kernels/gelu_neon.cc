// gelu for NEON.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"
// Written for these lanes:
#include "gelu_lanes.h"

const bhar::GeluFn bhar::gelu_f32_neon = run;

#else

const bhar::GeluFn bhar::gelu_f32_neon = nullptr;

#endif
