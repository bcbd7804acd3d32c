// refined_aggregate for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"

namespace bhar {
namespace {

constexpr int kBlockFrames = 6, kBlockTargets = 4;  // 24 sums
constexpr int kFrameSums = 26;  // of one frame alone: every relation of some joints

}  // namespace
}  // namespace bhar

#include "refined_aggregate_lanes.h"

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_avx512 = run;

#else

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_avx512 = nullptr;

#endif
