// refined_aggregate for AVX2 + FMA.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"

namespace bhar {
namespace {

constexpr int kBlockFrames = 6, kBlockTargets = 2;  // 12 sums
constexpr int kFrameSums = 13;  // of one frame alone: every relation of some joints

}  // namespace
}  // namespace bhar

#include "refined_aggregate_lanes.h"

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_avx2 = run;

#else

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_avx2 = nullptr;

#endif
