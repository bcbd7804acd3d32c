// temporal_conv for AVX2 + FMA.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"

namespace bhar {
namespace {

constexpr int kBlockVectors = 2;
constexpr int block_rows(int) { return 6; }  // up to 12 sums

}  // namespace
}  // namespace bhar

#include "temporal_conv_lanes.h"

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx2 = run;

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx2 = nullptr;

#endif
