// AVX-512F, for kernels that are written once for every vector: *_lanes.h.
//
// Whole is a whole vector; First the first few floats of one: what lies beyond is neither read nor
// written, and loaded as zero. Everything is internal to the file that includes this, so no code
// for one instruction set can take the place of another's.
#pragma once

#include <immintrin.h>

#include "bhar_ops/kernels.h"

#define BHAR_KERNEL __attribute__((target("avx512f")))
#define BHAR_INLINE BHAR_KERNEL __attribute__((always_inline)) inline

namespace bhar {
namespace {

constexpr int kLanes = 16;
// The forms without a mask warn of an uninitialized value in the headers of GCC 12.
constexpr __mmask16 kAll = 0xffff;

using Vector = __m512;
struct Whole {};
struct First {
  __mmask16 mask;
};

BHAR_INLINE First first(std::int64_t count) { return {static_cast<__mmask16>((1u << count) - 1u)}; }
BHAR_INLINE Vector load(const float* from, Whole) { return _mm512_loadu_ps(from); }
BHAR_INLINE Vector load(const float* from, First part) {
  return _mm512_maskz_loadu_ps(part.mask, from);
}
BHAR_INLINE void store(float* to, Vector value, Whole) { _mm512_storeu_ps(to, value); }
BHAR_INLINE void store(float* to, Vector value, First part) {
  _mm512_mask_storeu_ps(to, part.mask, value);
}
BHAR_INLINE Vector all(float value) { return _mm512_set1_ps(value); }
// In a register: GCC else reads memory again for every use.
BHAR_INLINE Vector kept(Vector value) {
  asm("" : "+v"(value));
  return value;
}
BHAR_INLINE Vector add(Vector left, Vector right) { return _mm512_add_ps(left, right); }
BHAR_INLINE Vector sub(Vector left, Vector right) { return _mm512_sub_ps(left, right); }
BHAR_INLINE Vector mul(Vector left, Vector right) { return _mm512_mul_ps(left, right); }
BHAR_INLINE Vector div(Vector left, Vector right) { return _mm512_div_ps(left, right); }
BHAR_INLINE Vector fma(Vector left, Vector right, Vector sum) {
  return _mm512_fmadd_ps(left, right, sum);
}
// The greater one; of a number and a NaN, the second operand.
BHAR_INLINE Vector greater_number(Vector values, Vector most) {
  return _mm512_maskz_max_ps(kAll, values, most);
}
// Of whole numbers from -126 to 127.
BHAR_INLINE Vector power_of_two(Vector whole) {
  return _mm512_maskz_scalef_ps(kAll, all(1.0f), whole);
}
// A NaN among the values comes through.
BHAR_INLINE Vector at_most(float limit, Vector values) {
  return _mm512_maskz_min_ps(kAll, all(limit), values);
}
BHAR_INLINE Vector at_least(float limit, Vector values) {
  return _mm512_maskz_max_ps(kAll, all(limit), values);
}
// The greater one; NaN if one is.
BHAR_INLINE Vector greater(Vector left, Vector right) {
  const __mmask16 nan = _mm512_cmp_ps_mask(left, left, _CMP_UNORD_Q);
  return _mm512_mask_mov_ps(_mm512_maskz_max_ps(kAll, left, right), nan, left);
}
BHAR_INLINE Vector leaky(Vector values, Vector slope) {
  const __mmask16 below = _mm512_cmp_ps_mask(values, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_mask_mul_ps(values, below, values, slope);
}

}  // namespace
}  // namespace bhar
