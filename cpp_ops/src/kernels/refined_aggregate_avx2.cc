// AVX2 + FMA: 8 channels, up to 6 frames and 2 joints at a time, so 12 sums stay in registers while
// the adjacencies are made between them. The values that they are made of are first packed, since
// rows of many channels lie on as many pages of memory. The loops of a block are unrolled by
// request: GCC alone keeps the sums on the stack.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX2 __attribute__((target("avx2,fma")))

namespace bhar {
namespace {

constexpr int kLanes = 8;
constexpr int kBlockFrames = 6;
constexpr int kBlockTargets = 2;
constexpr int kPairs = 80;  // of a partition and a joint: 3 x 25 in one go, all in the first cache

alignas(32) constexpr std::int32_t kMaskSource[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                              0,  0,  0,  0,  0,  0,  0,  0};

BHAR_AVX2 inline __m256i first_lanes(std::int64_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMaskSource + kLanes - count));
}

// What one packing serves: channels of a group, frames, and joints of a partition to all others.
struct Slice {
  std::int64_t c, group, t, frames;
  __m256i mask;
  std::int64_t first, pairs;  // pair = k * V + v
  const float* packed;        // [pairs, frames, kLanes]
};

BHAR_AVX2 void pack(const RefinedAggregateSample& p, const Slice& s, float* packed) {
  for (std::int64_t i = 0; i < s.pairs; ++i) {
    const std::int64_t k = (s.first + i) / p.v, v = (s.first + i) % p.v;
    const float* value = p.value + ((k * p.t + s.t) * p.v + v) * p.c + s.c;
    for (std::int64_t f = 0; f < s.frames; ++f, packed += kLanes, value += p.v * p.c) {
      _mm256_store_ps(packed, _mm256_maskload_ps(value, s.mask));
    }
  }
}

template <int Frames, int Targets>
BHAR_AVX2 void block(const RefinedAggregateSample& p, const Slice& s, std::int64_t w) {
  __m256 sums[Frames][Targets];
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      const float* out = p.out + ((s.t + f) * p.w + w + j) * p.c + s.c;
      sums[f][j] = s.first == 0 ? _mm256_setzero_ps() : _mm256_maskload_ps(out, s.mask);
    }
  }
  const float* value = s.packed;
  for (std::int64_t done = 0, run = 0; done < s.pairs; done += run) {
    const std::int64_t k = (s.first + done) / p.v, v = (s.first + done) % p.v;
    run = p.v - v < s.pairs - done ? p.v - v : s.pairs - done;
    const __m256 shift = _mm256_maskload_ps(p.shift + k * p.c + s.c, s.mask);
    const float* weight = p.weight + k * p.r * p.c + s.c;
    const float* a = p.a + (k * p.w + w) * p.v + v;
    const float* relation = p.relation + (((k * p.groups + s.group) * p.w + w) * p.v + v) * p.r;
    for (const float* end = a + run; a < end; ++a, relation += p.r, value += Frames * kLanes) {
      __m256 edges[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) edges[j] = _mm256_add_ps(shift, _mm256_set1_ps(a[j * p.v]));
      const float* parts = weight;
      for (std::int64_t r = 0; r < p.r; ++r, parts += p.c) {
        const __m256 part = _mm256_maskload_ps(parts, s.mask);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) {
          edges[j] = _mm256_fmadd_ps(part, _mm256_set1_ps(relation[j * p.v * p.r + r]), edges[j]);
        }
      }
#pragma GCC unroll 16
      for (int f = 0; f < Frames; ++f) {
        const __m256 x = _mm256_load_ps(value + f * kLanes);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) sums[f][j] = _mm256_fmadd_ps(x, edges[j], sums[f][j]);
      }
    }
  }
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      _mm256_maskstore_ps(p.out + ((s.t + f) * p.w + w + j) * p.c + s.c, s.mask, sums[f][j]);
    }
  }
}

template <int Frames>
BHAR_AVX2 void all_targets(const RefinedAggregateSample& p, const Slice& s) {
  const std::int64_t blocks = (p.w + kBlockTargets - 1) / kBlockTargets;
  std::int64_t w = 0;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t targets = p.w / blocks + (i < p.w % blocks ? 1 : 0);
    switch (targets) {
      case 2: block<Frames, 2>(p, s, w); break;
      case 1: block<Frames, 1>(p, s, w); break;
    }
    w += targets;
  }
}

BHAR_AVX2 void slice(const RefinedAggregateSample& p, Slice s) {
  alignas(64) float packed[kPairs * kBlockFrames * kLanes];
  s.packed = packed;
  const std::int64_t all = p.k * p.v;
  // Also without a pair: the sum of none is zero, and has to be written.
  for (s.first = 0; s.first == 0 || s.first < all; s.first += kPairs) {
    s.pairs = all - s.first < kPairs ? all - s.first : kPairs;
    pack(p, s, packed);
    switch (s.frames) {
      case 6: all_targets<6>(p, s); break;
      case 5: all_targets<5>(p, s); break;
      case 4: all_targets<4>(p, s); break;
      case 3: all_targets<3>(p, s); break;
      case 2: all_targets<2>(p, s); break;
      case 1: all_targets<1>(p, s); break;
    }
  }
}

BHAR_AVX2 void all_frames(const RefinedAggregateSample& p, std::int64_t c, std::int64_t group,
                          std::int64_t channels) {
  // Frames in blocks of nearly the same size: every block makes the adjacencies anew.
  const __m256i mask = first_lanes(channels);
  const std::int64_t blocks = (p.t + kBlockFrames - 1) / kBlockFrames;
  std::int64_t t = 0;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t frames = p.t / blocks + (i < p.t % blocks ? 1 : 0);
    slice(p, {c, group, t, frames, mask, 0, 0, nullptr});
    t += frames;
  }
}

void run(const RefinedAggregateSample& p) {
  const std::int64_t size = p.c / p.groups;
  for (std::int64_t group = 0; group < p.groups; ++group) {
    for (std::int64_t c = 0; c < size; c += kLanes) {
      const std::int64_t left = size - c;
      all_frames(p, group * size + c, group, left < kLanes ? left : kLanes);
    }
  }
}

}  // namespace

const RefinedAggregateFn refined_aggregate_f32_avx2 = run;

}  // namespace bhar

#else

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_avx2 = nullptr;

#endif
