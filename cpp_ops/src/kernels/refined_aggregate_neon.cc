// refined_aggregate for NEON.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"

namespace bhar {
namespace {

constexpr int kBlockFrames = 8, kBlockTargets = 3;  // 24 sums
constexpr int kFrameSums = 26;  // of one frame alone: every relation of some joints

}  // namespace
}  // namespace bhar

#include "refined_aggregate_lanes.h"

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_neon = run;

#else

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_neon = nullptr;

#endif
