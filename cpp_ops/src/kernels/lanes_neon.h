// NEON, for kernels that are written once for every vector: *_lanes.h. What Whole and First are,
// and why all of it is internal, is said in lanes_avx512.h. NEON has no masked load: First goes
// through memory, which channels in multiples of four never need.
#pragma once

#include <arm_neon.h>

#include "bhar_ops/kernels.h"

#define BHAR_KERNEL
#define BHAR_INLINE __attribute__((always_inline)) inline

namespace bhar {
namespace {

constexpr int kLanes = 4;

using Vector = float32x4_t;
struct Whole {};
struct First {
  std::int64_t count;
};

BHAR_INLINE First first(std::int64_t count) { return {count}; }
BHAR_INLINE Vector load(const float* from, Whole) { return vld1q_f32(from); }
BHAR_INLINE Vector load(const float* from, First part) {
  float values[kLanes] = {};
  for (std::int64_t i = 0; i < part.count; ++i) values[i] = from[i];
  return vld1q_f32(values);
}
BHAR_INLINE void store(float* to, Vector value, Whole) { vst1q_f32(to, value); }
BHAR_INLINE void store(float* to, Vector value, First part) {
  float values[kLanes];
  vst1q_f32(values, value);
  for (std::int64_t i = 0; i < part.count; ++i) to[i] = values[i];
}
BHAR_INLINE Vector all(float value) { return vdupq_n_f32(value); }
// In a register: GCC else reads memory again for every use.
BHAR_INLINE Vector kept(Vector value) {
  asm("" : "+w"(value));
  return value;
}
BHAR_INLINE Vector add(Vector left, Vector right) { return vaddq_f32(left, right); }
BHAR_INLINE Vector sub(Vector left, Vector right) { return vsubq_f32(left, right); }
BHAR_INLINE Vector mul(Vector left, Vector right) { return vmulq_f32(left, right); }
BHAR_INLINE Vector div(Vector left, Vector right) { return vdivq_f32(left, right); }
BHAR_INLINE Vector fma(Vector left, Vector right, Vector sum) {
  return vfmaq_f32(sum, left, right);
}
// A NaN among the values counts for nothing.
BHAR_INLINE Vector greater_number(Vector values, Vector most) { return vmaxnmq_f32(values, most); }
// Of whole numbers from -126 to 127.
BHAR_INLINE Vector power_of_two(Vector whole) {
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(whole), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}
// A NaN among the values comes through.
BHAR_INLINE Vector at_most(float limit, Vector values) { return vminq_f32(all(limit), values); }
BHAR_INLINE Vector at_least(float limit, Vector values) { return vmaxq_f32(all(limit), values); }
// The greater one; NaN if one is.
BHAR_INLINE Vector greater(Vector left, Vector right) { return vmaxq_f32(left, right); }
BHAR_INLINE Vector leaky(Vector values, Vector slope) {
  return vbslq_f32(vcltq_f32(values, all(0.0f)), vmulq_f32(values, slope), values);
}

}  // namespace
}  // namespace bhar
