// NEON: 4 channels, up to 8 frames and 3 joints at a time, so 24 sums stay in registers while
// the adjacencies are made between them. The values that they are made of are first packed, since
// rows of many channels lie on as many pages of memory. The loops of a block are unrolled by
// request: GCC alone keeps the sums on the stack.
//
// NEON has no masked load. The last vector of a group is moved back to end at its last channel, so
// it overlaps its neighbour and gives the same sums again; fewer than 4 channels go one by one.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace bhar {
namespace {

constexpr int kLanes = 4;
constexpr int kBlockFrames = 8;
constexpr int kBlockTargets = 3;
constexpr int kPairs = 80;  // of a partition and a joint: 3 x 25 in one go, all in the first cache

// What one packing serves: channels of a group, frames, and joints of a partition to all others.
struct Slice {
  std::int64_t c, group, t, frames;
  std::int64_t first, pairs;  // pair = k * V + v
  const float* packed;        // [pairs, frames, kLanes]
};

void pack(const RefinedAggregateSample& p, const Slice& s, float* packed) {
  for (std::int64_t i = 0; i < s.pairs; ++i) {
    const std::int64_t k = (s.first + i) / p.v, v = (s.first + i) % p.v;
    const float* value = p.value + ((k * p.t + s.t) * p.v + v) * p.c + s.c;
    for (std::int64_t f = 0; f < s.frames; ++f, packed += kLanes, value += p.v * p.c) {
      vst1q_f32(packed, vld1q_f32(value));
    }
  }
}

template <int Frames, int Targets>
void block(const RefinedAggregateSample& p, const Slice& s, std::int64_t w) {
  float32x4_t sums[Frames][Targets];
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      const float* out = p.out + ((s.t + f) * p.w + w + j) * p.c + s.c;
      sums[f][j] = s.first == 0 ? vdupq_n_f32(0.0f) : vld1q_f32(out);
    }
  }
  const float* value = s.packed;
  for (std::int64_t done = 0, run = 0; done < s.pairs; done += run) {
    const std::int64_t k = (s.first + done) / p.v, v = (s.first + done) % p.v;
    run = p.v - v < s.pairs - done ? p.v - v : s.pairs - done;
    const float32x4_t shift = vld1q_f32(p.shift + k * p.c + s.c);
    const float* weight = p.weight + k * p.r * p.c + s.c;
    const float* a = p.a + (k * p.w + w) * p.v + v;
    const float* relation = p.relation + (((k * p.groups + s.group) * p.w + w) * p.v + v) * p.r;
    for (const float* end = a + run; a < end; ++a, relation += p.r, value += Frames * kLanes) {
      float32x4_t edges[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) edges[j] = vaddq_f32(shift, vdupq_n_f32(a[j * p.v]));
      const float* parts = weight;
      for (std::int64_t r = 0; r < p.r; ++r, parts += p.c) {
        const float32x4_t part = vld1q_f32(parts);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) {
          edges[j] = vfmaq_f32(edges[j], part, vdupq_n_f32(relation[j * p.v * p.r + r]));
        }
      }
#pragma GCC unroll 16
      for (int f = 0; f < Frames; ++f) {
        const float32x4_t x = vld1q_f32(value + f * kLanes);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) sums[f][j] = vfmaq_f32(sums[f][j], x, edges[j]);
      }
    }
  }
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      vst1q_f32(p.out + ((s.t + f) * p.w + w + j) * p.c + s.c, sums[f][j]);
    }
  }
}

template <int Frames>
void all_targets(const RefinedAggregateSample& p, const Slice& s) {
  const std::int64_t blocks = (p.w + kBlockTargets - 1) / kBlockTargets;
  std::int64_t w = 0;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t targets = p.w / blocks + (i < p.w % blocks ? 1 : 0);
    switch (targets) {
      case 3: block<Frames, 3>(p, s, w); break;
      case 2: block<Frames, 2>(p, s, w); break;
      case 1: block<Frames, 1>(p, s, w); break;
    }
    w += targets;
  }
}

void slice(const RefinedAggregateSample& p, Slice s) {
  alignas(64) float packed[kPairs * kBlockFrames * kLanes];
  s.packed = packed;
  const std::int64_t all = p.k * p.v;
  // Also without a pair: the sum of none is zero, and has to be written.
  for (s.first = 0; s.first == 0 || s.first < all; s.first += kPairs) {
    s.pairs = all - s.first < kPairs ? all - s.first : kPairs;
    pack(p, s, packed);
    switch (s.frames) {
      case 8: all_targets<8>(p, s); break;
      case 7: all_targets<7>(p, s); break;
      case 6: all_targets<6>(p, s); break;
      case 5: all_targets<5>(p, s); break;
      case 4: all_targets<4>(p, s); break;
      case 3: all_targets<3>(p, s); break;
      case 2: all_targets<2>(p, s); break;
      case 1: all_targets<1>(p, s); break;
    }
  }
}

void all_frames(const RefinedAggregateSample& p, std::int64_t c, std::int64_t group) {
  // Frames in blocks of nearly the same size: every block makes the adjacencies anew.
  const std::int64_t blocks = (p.t + kBlockFrames - 1) / kBlockFrames;
  std::int64_t t = 0;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t frames = p.t / blocks + (i < p.t % blocks ? 1 : 0);
    slice(p, {c, group, t, frames, 0, 0, nullptr});
    t += frames;
  }
}

void one_channel(const RefinedAggregateSample& p, std::int64_t c, std::int64_t group) {
  for (std::int64_t w = 0; w < p.w; ++w) {
    for (std::int64_t t = 0; t < p.t; ++t) p.out[(t * p.w + w) * p.c + c] = 0.0f;
    for (std::int64_t k = 0; k < p.k; ++k) {
      const float* relation = p.relation + ((k * p.groups + group) * p.w + w) * p.v * p.r;
      for (std::int64_t v = 0; v < p.v; ++v, relation += p.r) {
        float edge = p.a[(k * p.w + w) * p.v + v] + p.shift[k * p.c + c];
        for (std::int64_t r = 0; r < p.r; ++r)
          edge += p.weight[(k * p.r + r) * p.c + c] * relation[r];
        for (std::int64_t t = 0; t < p.t; ++t) {
          p.out[(t * p.w + w) * p.c + c] += p.value[((k * p.t + t) * p.v + v) * p.c + c] * edge;
        }
      }
    }
  }
}

void run(const RefinedAggregateSample& p) {
  const std::int64_t size = p.c / p.groups;
  for (std::int64_t group = 0; group < p.groups; ++group) {
    const std::int64_t first = group * size;
    std::int64_t c = 0;
    for (; c + kLanes <= size; c += kLanes) all_frames(p, first + c, group);
    if (c == size) continue;
    if (size >= kLanes) {
      all_frames(p, first + size - kLanes, group);
    } else {
      for (; c < size; ++c) one_channel(p, first + c, group);
    }
  }
}

}  // namespace

const RefinedAggregateFn refined_aggregate_f32_neon = run;

}  // namespace bhar

#else

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_neon = nullptr;

#endif
