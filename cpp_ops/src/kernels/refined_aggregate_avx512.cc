// AVX-512F: 16 channels, up to 8 frames and 3 joints at a time, so 24 sums stay in registers while
// the adjacencies are made between them. The values that they are made of are first packed, since
// rows of many channels lie on as many pages of memory. The loops of a block are unrolled by
// request: GCC alone keeps the sums on the stack.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX512 __attribute__((target("avx512f")))

namespace bhar {
namespace {

constexpr int kLanes = 16;
constexpr int kBlockFrames = 8;
constexpr int kBlockTargets = 3;
constexpr int kPairs = 80;  // of a partition and a joint: 3 x 25 in one go, all in the first cache

// What one packing serves: channels of a group, frames, and joints of a partition to all others.
struct Slice {
  std::int64_t c, group, t, frames;
  __mmask16 mask;
  std::int64_t first, pairs;  // pair = k * V + v
  const float* packed;        // [pairs, frames, kLanes]
};

BHAR_AVX512 void pack(const RefinedAggregateSample& p, const Slice& s, float* packed) {
  for (std::int64_t i = 0; i < s.pairs; ++i) {
    const std::int64_t k = (s.first + i) / p.v, v = (s.first + i) % p.v;
    const float* value = p.value + ((k * p.t + s.t) * p.v + v) * p.c + s.c;
    for (std::int64_t f = 0; f < s.frames; ++f, packed += kLanes, value += p.v * p.c) {
      _mm512_store_ps(packed, _mm512_maskz_loadu_ps(s.mask, value));
    }
  }
}

template <int Frames, int Targets>
BHAR_AVX512 void block(const RefinedAggregateSample& p, const Slice& s, std::int64_t w) {
  __m512 sums[Frames][Targets];
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      const float* out = p.out + ((s.t + f) * p.w + w + j) * p.c + s.c;
      sums[f][j] = s.first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(s.mask, out);
    }
  }
  const float* value = s.packed;
  for (std::int64_t done = 0, run = 0; done < s.pairs; done += run) {
    const std::int64_t k = (s.first + done) / p.v, v = (s.first + done) % p.v;
    run = p.v - v < s.pairs - done ? p.v - v : s.pairs - done;
    const __m512 shift = _mm512_maskz_loadu_ps(s.mask, p.shift + k * p.c + s.c);
    const float* weight = p.weight + k * p.r * p.c + s.c;
    const float* a = p.a + (k * p.w + w) * p.v + v;
    const float* relation = p.relation + (((k * p.groups + s.group) * p.w + w) * p.v + v) * p.r;
    for (const float* end = a + run; a < end; ++a, relation += p.r, value += Frames * kLanes) {
      __m512 edges[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) edges[j] = _mm512_add_ps(shift, _mm512_set1_ps(a[j * p.v]));
      const float* parts = weight;
      for (std::int64_t r = 0; r < p.r; ++r, parts += p.c) {
        const __m512 part = _mm512_maskz_loadu_ps(s.mask, parts);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) {
          edges[j] = _mm512_fmadd_ps(part, _mm512_set1_ps(relation[j * p.v * p.r + r]), edges[j]);
        }
      }
#pragma GCC unroll 16
      for (int f = 0; f < Frames; ++f) {
        const __m512 x = _mm512_load_ps(value + f * kLanes);
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) sums[f][j] = _mm512_fmadd_ps(x, edges[j], sums[f][j]);
      }
    }
  }
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) {
      _mm512_mask_storeu_ps(p.out + ((s.t + f) * p.w + w + j) * p.c + s.c, s.mask, sums[f][j]);
    }
  }
}

template <int Frames>
BHAR_AVX512 void all_targets(const RefinedAggregateSample& p, const Slice& s) {
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

BHAR_AVX512 void slice(const RefinedAggregateSample& p, Slice s) {
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

BHAR_AVX512 void all_frames(const RefinedAggregateSample& p, std::int64_t c, std::int64_t group,
                            std::int64_t channels) {
  // Frames in blocks of nearly the same size: every block makes the adjacencies anew.
  const auto mask = static_cast<__mmask16>((1u << channels) - 1u);
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

const RefinedAggregateFn refined_aggregate_f32_avx512 = run;

}  // namespace bhar

#else

const bhar::RefinedAggregateFn bhar::refined_aggregate_f32_avx512 = nullptr;

#endif
