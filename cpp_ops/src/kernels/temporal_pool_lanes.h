// temporal_pool of one frame, for the lanes that are included before: a vector of channels of every
// row, then the next one.
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

// As many frames as Count says, or, where that is 0, as there are.
template <int Count, class Part>
BHAR_INLINE Vector greatest(const TemporalPoolFrame& p, std::int64_t at, Part part) {
  Vector most = load(p.frames[0] + at, part);
  const std::int64_t count = Count == 0 ? p.count : Count;
  for (std::int64_t i = 1; i < count; ++i) most = greater(load(p.frames[i] + at, part), most);
  return most;
}

template <int Count, class Part>
BHAR_INLINE Vector weighed(const TemporalPoolFrame& p, std::int64_t at, Part part) {
  Vector sum = mul(all(p.weights[0]), load(p.frames[0] + at, part));
  const std::int64_t count = Count == 0 ? p.count : Count;
  for (std::int64_t i = 1; i < count; ++i) {
    sum = fma(all(p.weights[i]), load(p.frames[i] + at, part), sum);
  }
  return sum;
}

template <int Count, class Part>
BHAR_KERNEL void rows_of(const TemporalPoolFrame& p, std::int64_t c, Part part) {
  const Vector scale = p.scale == nullptr ? all(1.0f) : load(p.scale + c, part);
  const Vector shift = p.shift == nullptr ? all(0.0f) : load(p.shift + c, part);
  const Vector slope = all(p.slope);
  for (std::int64_t row = 0; row < p.rows; ++row) {
    const std::int64_t at = row * p.x_stride + c;
    Vector out = p.weights == nullptr ? greatest<Count>(p, at, part) : weighed<Count>(p, at, part);
    out = fma(out, scale, shift);
    if (p.add != nullptr) out = add(out, load(p.add + row * p.add_stride + c, part));
    store(p.out + row * p.out_stride + c, leaky(out, slope), part);
  }
}

// What lies between two frames, and nothing else: what convolutions sample, at every tap.
bool is_between_two(const TemporalPoolFrame& p) {
  return p.count == 2 && p.weights != nullptr && p.scale == nullptr && p.shift == nullptr &&
         p.add == nullptr && p.slope == 1.0f;
}

template <class Part>
BHAR_KERNEL void between_two(const TemporalPoolFrame& p, std::int64_t c, Part part) {
  // Copies: what is written might else be these numbers themselves.
  const std::int64_t rows = p.rows, x_stride = p.x_stride, out_stride = p.out_stride;
  const Vector weights[2] = {all(p.weights[0]), all(p.weights[1])};
  const float *first = p.frames[0] + c, *second = p.frames[1] + c;
  float* out = p.out + c;
  for (std::int64_t row = 0; row < rows; ++row) {
    const Vector part_of_first = mul(weights[0], load(first, part));
    store(out, fma(weights[1], load(second, part), part_of_first), part);
    first += x_stride;
    second += x_stride;
    out += out_stride;
  }
}

// With what the models have in loops of their own.
template <class Part>
BHAR_KERNEL void channels(const TemporalPoolFrame& p, std::int64_t c, Part part) {
  if (is_between_two(p)) return between_two(p, c, part);
  switch (p.count) {
    case 1: return rows_of<1>(p, c, part);
    case 2: return rows_of<2>(p, c, part);
    case 3: return rows_of<3>(p, c, part);
    default: return rows_of<0>(p, c, part);
  }
}

BHAR_KERNEL void run(const TemporalPoolFrame& p) {
  std::int64_t c = 0;
  for (; c + kLanes <= p.channels; c += kLanes) channels(p, c, Whole{});
  if (c < p.channels) channels(p, c, first(p.channels - c));
}

}  // namespace
}  // namespace bhar
