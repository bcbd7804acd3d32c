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

// Few frames are copied, and all else too: what is written might else be these numbers themselves.
template <int Count, class Part>
BHAR_KERNEL void rows_of(const TemporalPoolFrame& frame, std::int64_t c, Part part) {
  TemporalPoolFrame p = frame;
  const float* frames[Count == 0 ? 1 : Count];
  for (int i = 0; i < Count; ++i) frames[i] = p.frames[i];
  if (Count > 0) p.frames = frames;
  float weights[Count == 0 ? 1 : Count];
  if (Count > 0 && p.weights != nullptr) {
    for (int i = 0; i < Count; ++i) weights[i] = p.weights[i];
    p.weights = weights;
  }
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

// With what the models have in loops of their own.
template <class Part>
BHAR_KERNEL void channels(const TemporalPoolFrame& p, std::int64_t c, Part part) {
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
