// Integers for NEON without dot products: products of eight bits, added up in pairs of sums.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"

#define BHAR_INTEGER_KERNEL BHAR_KERNEL
#define BHAR_INTEGER_INLINE BHAR_INLINE

namespace bhar {
namespace {

constexpr int kBlockRows = 4, kBlockVectors = 2;  // 8 sums of two registers

// Of each channel two sums, side by side.
struct Sums {
  int32x4_t low, high;
};
using Inputs = int8x8_t;
using Weights = int8x16_t;

// Inputs are taken 128 too low, to be signed: as much goes to the sums at once.
BHAR_INTEGER_INLINE Sums initial(const std::int32_t* totals) {
  const int32x4_t missing = vshlq_n_s32(vld1q_s32(totals), 7), none = vdupq_n_s32(0);
  return {vzip1q_s32(missing, none), vzip2q_s32(missing, none)};
}
BHAR_INTEGER_INLINE Inputs inputs(const std::uint8_t* from) {
  std::uint32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return vreinterpret_s8_u32(vdup_n_u32(four ^ 0x80808080u));
}
BHAR_INTEGER_INLINE Weights weights(const std::int8_t* from) { return vld1q_s8(from); }
BHAR_INTEGER_INLINE Sums dot(Sums sums, Inputs inputs, Weights weights) {
  return {vpadalq_s16(sums.low, vmull_s8(inputs, vget_low_s8(weights))),
          vpadalq_s16(sums.high, vmull_s8(inputs, vget_high_s8(weights)))};
}
BHAR_INTEGER_INLINE Vector as_floats(Sums sums) {
  return vcvtq_f32_s32(vpaddq_s32(sums.low, sums.high));
}

}  // namespace
}  // namespace bhar

#include "integer_conv_lanes.h"
#include "integer_neon_lanes.h"
#include "quantize_lanes.h"

const bhar::IntegerKernels bhar::integer_neon = {"neon", run, quantize};

#else

const bhar::IntegerKernels bhar::integer_neon = {"neon", nullptr, nullptr};

#endif
