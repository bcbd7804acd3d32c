// temporal_conv for NEON.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"

namespace bhar {
namespace {

constexpr int kBlockVectors = 4;
constexpr int block_rows(int) { return 6; }  // up to 24 sums

}  // namespace
}  // namespace bhar

#include "temporal_conv_lanes.h"

const bhar::TemporalConvFn bhar::temporal_conv_f32_neon = run;

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_neon = nullptr;

#endif
