// pairwise_tanh, a vector of differences at a time, for the lanes that are included before. The
// joints that are related from are packed into the last row of the result, which is written last:
// so no other memory is needed.
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

BHAR_INLINE Vector tanh_of(Vector difference) {
  const Vector x = at_least(-9.0f, at_most(9.0f, difference)), square = mul(x, x);
  Vector above = all(kTanhAbove[0]), below = all(kTanhBelow[0]);
#pragma GCC unroll 4
  for (int i = 1; i < 5; ++i) {
    above = fma(above, square, all(kTanhAbove[i]));
    below = fma(below, square, all(kTanhBelow[i]));
  }
  return at_least(-1.0f, at_most(1.0f, div(mul(x, above), below)));
}

// Where r is known and divides a vector, R is r, else 0.
template <int R>
BHAR_KERNEL void row_of(const float* to, const float* from, float* out, std::int64_t r,
                        std::int64_t count) {
  // The same r values again and again, so that a vector may begin at any of them.
  float pattern[R > 0 ? kLanes : kMaxRelations + kLanes];
  if constexpr (R > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) pattern[i] = to[i % R];
  } else {
    for (std::int64_t i = 0; i < r; ++i) pattern[i] = to[i];
    for (std::int64_t i = r; i < r + kLanes; ++i) pattern[i] = pattern[i - r];
  }
  const std::int64_t step = R > 0 ? 0 : kLanes % r;
  std::int64_t at = 0, i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vector joint = load(pattern + at, Whole{});
    store(out + i, tanh_of(sub(joint, load(from + i, Whole{}))), Whole{});
    at = at + step < r ? at + step : at + step - r;
  }
  if (i == count) return;
  const First rest = first(count - i);
  store(out + i, tanh_of(sub(load(pattern + at, Whole{}), load(from + i, rest))), rest);
}

using RowFn = void (*)(const float*, const float*, float*, std::int64_t, std::int64_t);

constexpr int kOfEight = kLanes % 8 == 0 ? 8 : 0;

RowFn row_for(std::int64_t r) {
  if (r == 2) return row_of<2>;
  if (r == 4) return row_of<4>;
  if (r == 8) return row_of<kOfEight>;
  return row_of<0>;
}

void run(const PairwiseTanhSample& p) {
  const std::int64_t count = p.v * p.r;
  const RowFn row = row_for(p.r);
  for (std::int64_t m = 0; m < p.maps; ++m) {
    float* rows = p.out + m * p.w * count;
    float* packed = rows + (p.w - 1) * count;
    for (std::int64_t v = 0; v < p.v; ++v) {
      for (std::int64_t i = 0; i < p.r; ++i) {
        packed[v * p.r + i] = p.from[(v * p.maps + m) * p.r + i];
      }
    }
    for (std::int64_t w = 0; w < p.w; ++w) {
      row(p.to + (w * p.maps + m) * p.r, packed, rows + w * count, p.r, count);
    }
  }
}

}  // namespace
}  // namespace bhar
