// temporal_conv for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"

namespace bhar {
namespace {

constexpr int kBlockRows = 9, kBlockVectors = 2;  // 18 sums

}  // namespace
}  // namespace bhar

#include "temporal_conv_lanes.h"

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx512 = run;

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx512 = nullptr;

#endif
