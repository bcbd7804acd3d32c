// Integers for NEON with dot products (ARMv8.2): four products and their sum in one instruction.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include "lanes_neon.h"

#define BHAR_INTEGER_KERNEL __attribute__((target("arch=armv8.2-a+dotprod")))
#define BHAR_INTEGER_INLINE BHAR_INTEGER_KERNEL __attribute__((always_inline)) inline

namespace bhar {
namespace {

constexpr int kBlockRows = 6, kBlockVectors = 4;  // 24 sums

using Sums = int32x4_t;
using Inputs = int8x16_t;
using Weights = int8x16_t;

// Inputs are taken 128 too low, to be signed: as much goes to the sums at once.
BHAR_INTEGER_INLINE Sums initial(const std::int32_t* totals) {
  return vshlq_n_s32(vld1q_s32(totals), 7);
}
BHAR_INTEGER_INLINE Inputs inputs(const std::uint8_t* from) {
  std::uint32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u));
}
BHAR_INTEGER_INLINE Weights weights(const std::int8_t* from) { return vld1q_s8(from); }
BHAR_INTEGER_INLINE Sums dot(Sums sums, Inputs inputs, Weights weights) {
  return vdotq_s32(sums, inputs, weights);
}
BHAR_INTEGER_INLINE Vector as_floats(Sums sums) { return vcvtq_f32_s32(sums); }

}  // namespace
}  // namespace bhar

#include "integer_conv_lanes.h"
#include "integer_neon_lanes.h"
#include "quantize_lanes.h"

const bhar::IntegerKernels bhar::integer_neon_dotprod = {"neon dotprod", run, quantize};

#else

const bhar::IntegerKernels bhar::integer_neon_dotprod = {"neon dotprod", nullptr, nullptr};

#endif
