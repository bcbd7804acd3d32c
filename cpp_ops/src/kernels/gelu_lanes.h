// gelu for the lanes that are included before.
#pragma once

#include "bhar_ops/kernels.h"
#include "exp_lanes.h"

namespace bhar {
namespace {

// 1 - erf(z) for z from 0 on, within 1.5e-7. (Abramowitz & Stegun 1964, 7.1.26)
BHAR_INLINE Vector erfc_of(Vector z) {
  const Vector t = div(all(1.0f), fma(z, all(0.3275911f), all(1.0f)));
  Vector sum = all(1.061405429f);
  sum = fma(sum, t, all(-1.453152027f));
  sum = fma(sum, t, all(1.421413741f));
  sum = fma(sum, t, all(-0.284496736f));
  sum = fma(sum, t, all(0.254829592f));
  return mul(mul(sum, t), exp_of(sub(all(0.0f), mul(z, z))));
}

// x (1 + erf(x / sqrt 2)) / 2, of both signs by what |x| lacks: max(x, 0) - |x| erfc / 2.
template <class Part>
BHAR_INLINE void gelu_of(const float* x, float* out, Part part) {
  const Vector value = load(x, part), above = at_least(0.0f, value);
  const Vector size = sub(above, at_most(0.0f, value));
  const Vector lacks = mul(mul(size, all(0.5f)), erfc_of(mul(size, all(0.70710678f))));
  store(out, sub(above, lacks), part);
}

BHAR_KERNEL void run(const float* x, float* out, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) gelu_of(x + i, out + i, Whole{});
  if (i < count) gelu_of(x + i, out + i, first(count - i));
}

}  // namespace
}  // namespace bhar
