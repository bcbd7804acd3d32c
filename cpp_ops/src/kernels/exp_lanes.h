// exp, and what a vector comes to as a whole, for the lanes that are included before.
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

// exp(x) for x of -87 to 88, which what is beyond counts as, within 2 * eps of it. NaN stays NaN.
BHAR_INLINE Vector exp_of(Vector x) {
  const Vector bounded = at_least(-87.0f, at_most(88.0f, x));
  // x = n ln 2 + rest: a sum of this size has no bits for a fraction, so that n is whole, and ln 2
  // in two parts, of which n times the first one is exact.
  const Vector rounder = all(12582912.0f);
  const Vector n = sub(fma(bounded, all(1.44269504f), rounder), rounder);
  const Vector rest = fma(n, all(2.12194440e-4f), fma(n, all(-0.693359375f), bounded));
  // The Taylor series, which up to ln 2 / 2 leaves out less than 1e-8.
  Vector sum = all(1.0f / 5040);
  sum = fma(sum, rest, all(1.0f / 720));
  sum = fma(sum, rest, all(1.0f / 120));
  sum = fma(sum, rest, all(1.0f / 24));
  sum = fma(sum, rest, all(1.0f / 6));
  sum = fma(sum, rest, all(0.5f));
  sum = fma(sum, rest, all(1.0f));
  sum = fma(sum, rest, all(1.0f));
  return mul(sum, power_of_two(n));
}

BHAR_INLINE float sum_of(Vector values) {
  float lanes[kLanes], sum = 0.0f;
  store(lanes, values, Whole{});
  for (const float value : lanes) sum += value;
  return sum;
}

BHAR_INLINE float greatest_of(Vector values) {
  float lanes[kLanes];
  store(lanes, values, Whole{});
  float most = lanes[0];
  for (const float value : lanes) most = value > most ? value : most;
  return most;
}

}  // namespace
}  // namespace bhar
