// random_features for the lanes that are included before, a vector of features at a time.
#pragma once

#include "bhar_ops/kernels.h"
#include "exp_lanes.h"

namespace bhar {
namespace {

BHAR_KERNEL float half_square(const float* x, std::int64_t width) {
  Vector sum = all(0.0f);
  std::int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const Vector part = load(x + i, Whole{});
    sum = fma(part, part, sum);
  }
  if (i < width) {
    const Vector part = load(x + i, first(width - i));
    sum = fma(part, part, sum);
  }
  return sum_of(sum) / 2;
}

// Of those that are numbers: the feature of a NaN is NaN whatever this gives.
BHAR_KERNEL float greatest(const float* values, std::int64_t count) {
  Vector lanes = all(-__builtin_inff());
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) lanes = greater_number(load(values + i, Whole{}), lanes);
  float most = greatest_of(lanes);
  for (; i < count; ++i) most = values[i] > most ? values[i] : most;
  return most;
}

template <class Part>
BHAR_INLINE Vector raise(float* exponents, Vector less, Part part) {
  const Vector made = add(exp_of(sub(load(exponents, part), less)), all(kFeatureFloor));
  store(exponents, made, part);
  return made;
}

BHAR_KERNEL void keys(const RandomFeatureRows& p, const float* x, float* out, float largest) {
  const Vector less = all(half_square(x, p.width) + largest);
  std::int64_t j = 0;
  for (; j + kLanes <= p.features; j += kLanes) raise(out + j, less, Whole{});
  if (j < p.features) raise(out + j, less, first(p.features - j));
}

BHAR_KERNEL void query(const RandomFeatureRows& p, const float* x, float* out) {
  const Vector less = all(half_square(x, p.width) + greatest(out, p.features));
  Vector sum = all(0.0f);
  std::int64_t j = 0;
  for (; j + kLanes <= p.features; j += kLanes) {
    sum = fma(raise(out + j, less, Whole{}), load(p.normalizer + j, Whole{}), sum);
  }
  if (j < p.features) {
    const First rest = first(p.features - j);
    sum = fma(raise(out + j, less, rest), load(p.normalizer + j, rest), sum);
  }
  const Vector scale = all(1.0f / sum_of(sum));
  for (j = 0; j + kLanes <= p.features; j += kLanes) {
    store(out + j, mul(load(out + j, Whole{}), scale), Whole{});
  }
  if (j < p.features) {
    const First rest = first(p.features - j);
    store(out + j, mul(load(out + j, rest), scale), rest);
  }
}

BHAR_KERNEL void run(const RandomFeatureRows& p) {
  if (p.rows == 0) return;
  const bool of_all = p.normalizer == nullptr && !p.more_keys;
  const float largest = of_all ? greatest(p.out, p.rows * p.features) : 0.0f;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const float* x = p.x + r * p.x_stride;
    float* out = p.out + r * p.features;
    p.normalizer == nullptr ? keys(p, x, out, largest) : query(p, x, out);
  }
}

}  // namespace
}  // namespace bhar
