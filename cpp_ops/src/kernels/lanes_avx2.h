// AVX2 + FMA, for kernels that are written once for every vector: *_lanes.h. What Whole and First
// are, and why all of it is internal, is said in lanes_avx512.h.
#pragma once

#include <immintrin.h>

#include "bhar_ops/kernels.h"

#define BHAR_KERNEL __attribute__((target("avx2,fma")))
#define BHAR_INLINE BHAR_KERNEL __attribute__((always_inline)) inline

namespace bhar {
namespace {

constexpr int kLanes = 8;

using Vector = __m256;
struct Whole {};
struct First {
  __m256i mask;
};

alignas(32) constexpr std::int32_t kMaskSource[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                              0,  0,  0,  0,  0,  0,  0,  0};

BHAR_INLINE First first(std::int64_t count) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMaskSource + kLanes - count))};
}
BHAR_INLINE Vector load(const float* from, Whole) { return _mm256_loadu_ps(from); }
BHAR_INLINE Vector load(const float* from, First part) {
  return _mm256_maskload_ps(from, part.mask);
}
BHAR_INLINE void store(float* to, Vector value, Whole) { _mm256_storeu_ps(to, value); }
BHAR_INLINE void store(float* to, Vector value, First part) {
  _mm256_maskstore_ps(to, part.mask, value);
}
BHAR_INLINE Vector all(float value) { return _mm256_set1_ps(value); }
// In a register: GCC else reads memory again for every use.
BHAR_INLINE Vector kept(Vector value) {
  asm("" : "+x"(value));
  return value;
}
BHAR_INLINE Vector add(Vector left, Vector right) { return _mm256_add_ps(left, right); }
BHAR_INLINE Vector sub(Vector left, Vector right) { return _mm256_sub_ps(left, right); }
BHAR_INLINE Vector mul(Vector left, Vector right) { return _mm256_mul_ps(left, right); }
BHAR_INLINE Vector div(Vector left, Vector right) { return _mm256_div_ps(left, right); }
BHAR_INLINE Vector fma(Vector left, Vector right, Vector sum) {
  return _mm256_fmadd_ps(left, right, sum);
}
// The greater one; of a number and a NaN, the second operand.
BHAR_INLINE Vector greater_number(Vector values, Vector most) {
  return _mm256_max_ps(values, most);
}
// Of whole numbers from -126 to 127.
BHAR_INLINE Vector power_of_two(Vector whole) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
// A NaN among the values comes through: it is the second operand.
BHAR_INLINE Vector at_most(float limit, Vector values) { return _mm256_min_ps(all(limit), values); }
BHAR_INLINE Vector at_least(float limit, Vector values) {
  return _mm256_max_ps(all(limit), values);
}
// The greater one; NaN if one is: of the first the maximum loses it.
BHAR_INLINE Vector greater(Vector left, Vector right) {
  const __m256 nan = _mm256_cmp_ps(left, left, _CMP_UNORD_Q);
  return _mm256_blendv_ps(_mm256_max_ps(left, right), left, nan);
}
BHAR_INLINE Vector leaky(Vector values, Vector slope) {
  const __m256 below = _mm256_cmp_ps(values, _mm256_setzero_ps(), _CMP_LT_OQ);
  return _mm256_blendv_ps(values, _mm256_mul_ps(values, slope), below);
}

}  // namespace
}  // namespace bhar
