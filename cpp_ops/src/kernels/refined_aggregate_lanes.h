// refined_aggregate of one sample, for the lanes that are included before: a vector of channels, up
// to kBlockFrames frames and kBlockTargets joints at a time, whose sums stay in registers while the
// adjacencies are made between them. The values are first packed, since rows of many channels lie
// on as many pages of memory. The loops of a block are unrolled by request: GCC alone keeps the
// sums on the stack.
#pragma once

#include "bhar_ops/kernels.h"
#include "blocks.h"

namespace bhar {
namespace {

constexpr int kPairs = 80;  // of a partition and a joint: 3 x 25 in one go, all in the first cache

// What one packing serves: channels of a group, frames, and joints of a partition to all others.
template <class Part>
struct Slice {
  std::int64_t c, group, t, frames;
  Part part;                  // which of a vector's channels
  std::int64_t begin, pairs;  // pair = k * V + v
  const float* packed;        // [pairs, frames, kLanes]
};

template <class Part>
BHAR_KERNEL void pack(const RefinedAggregateSample& p, const Slice<Part>& s, float* packed) {
  for (std::int64_t i = 0; i < s.pairs; ++i) {
    const std::int64_t k = (s.begin + i) / p.v, v = (s.begin + i) % p.v;
    const float* value = p.value + ((k * p.t + s.t) * p.v + v) * p.c + s.c;
    for (std::int64_t f = 0; f < s.frames; ++f, packed += kLanes, value += p.v * p.c) {
      store(packed, load(value, s.part), Whole{});
    }
  }
}

template <int Frames, int Targets, class Part>
BHAR_KERNEL void block(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t w) {
  Vector sums[Frames][Targets];
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      const float* out = p.out + ((s.t + f) * p.w + w + j) * p.c + s.c;
      sums[f][j] = s.begin == 0 ? all(0.0f) : load(out, s.part);
    }
  }
  const float* value = s.packed;
  for (std::int64_t done = 0, in_row = 0; done < s.pairs; done += in_row) {
    const std::int64_t k = (s.begin + done) / p.v, v = (s.begin + done) % p.v;
    in_row = p.v - v < s.pairs - done ? p.v - v : s.pairs - done;
    const Vector shift = load(p.shift + k * p.c + s.c, s.part);
    const float* weight = p.weight + k * p.r * p.c + s.c;
    const float* a = p.a + (k * p.w + w) * p.v + v;
    const float* relation = p.relation + (((k * p.groups + s.group) * p.w + w) * p.v + v) * p.r;
    for (const float* end = a + in_row; a < end; ++a, relation += p.r, value += Frames * kLanes) {
      Vector edges[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) edges[j] = add(shift, all(a[j * p.v]));
      const float* parts = weight;
      for (std::int64_t r = 0; r < p.r; ++r, parts += p.c) {
        const Vector part = load(parts, s.part);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) {
          edges[j] = fma(part, all(relation[j * p.v * p.r + r]), edges[j]);
        }
      }
#pragma GCC unroll 16
      for (int f = 0; f < Frames; ++f) {
        const Vector x = load(value + f * kLanes, Whole{});
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) sums[f][j] = fma(x, edges[j], sums[f][j]);
      }
    }
  }
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      store(p.out + ((s.t + f) * p.w + w + j) * p.c + s.c, sums[f][j], s.part);
    }
  }
}

template <int Frames, int Targets, class Part>
BHAR_KERNEL void targets_of(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t w,
                            std::int64_t targets) {
  if (targets == Targets) {
    block<Frames, Targets>(p, s, w);
  } else if constexpr (Targets > 1) {
    targets_of<Frames, Targets - 1>(p, s, w, targets);
  }
}

template <int Frames, class Part>
BHAR_KERNEL void frames_of(const RefinedAggregateSample& p, const Slice<Part>& s) {
  if (s.frames == Frames) {
    const Blocks blocks(p.w, kBlockTargets);
    for (std::int64_t i = 0, w = 0; i < blocks.count; w += blocks.size(i), ++i) {
      targets_of<Frames, kBlockTargets>(p, s, w, blocks.size(i));
    }
  } else if constexpr (Frames > 1) {
    frames_of<Frames - 1>(p, s);
  }
}

template <class Part>
BHAR_KERNEL void channels_of(const RefinedAggregateSample& p, std::int64_t c, std::int64_t group,
                             Part part) {
  alignas(64) float packed[kPairs * kBlockFrames * kLanes];
  const std::int64_t all_pairs = p.k * p.v;
  const Blocks blocks(p.t, kBlockFrames);  // as few as can be: each makes the adjacencies anew
  for (std::int64_t i = 0, t = 0; i < blocks.count; t += blocks.size(i), ++i) {
    Slice<Part> s{c, group, t, blocks.size(i), part, 0, 0, packed};
    // Also without a pair: the sum of none is zero, and has to be written.
    for (; s.begin == 0 || s.begin < all_pairs; s.begin += kPairs) {
      s.pairs = all_pairs - s.begin < kPairs ? all_pairs - s.begin : kPairs;
      pack(p, s, packed);
      frames_of<kBlockFrames>(p, s);
    }
  }
}

BHAR_KERNEL void run(const RefinedAggregateSample& p) {
  const std::int64_t size = p.c / p.groups;
  for (std::int64_t group = 0; group < p.groups; ++group) {
    std::int64_t c = 0;
    for (; c + kLanes <= size; c += kLanes) channels_of(p, group * size + c, group, Whole{});
    if (c < size) channels_of(p, group * size + c, group, first(size - c));
  }
}

}  // namespace
}  // namespace bhar
