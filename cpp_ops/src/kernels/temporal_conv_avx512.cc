// temporal_conv for AVX-512F.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"

namespace bhar {
namespace {

constexpr int kBlockVectors = 3;
// 26 or 27 sums, or 13 of one vector: with the weights and a joint, all registers.
constexpr int block_rows(int vectors) { return vectors == 3 ? 9 : 13; }

}  // namespace
}  // namespace bhar

#include "temporal_conv_lanes.h"

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx512 = run;

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx512 = nullptr;

#endif
