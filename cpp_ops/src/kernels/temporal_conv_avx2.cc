// AVX2 + FMA: blocks of up to 6 rows x 16 channels, so 12 sums stay in registers over all of K and
// I. The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x
// slower).

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX2 __attribute__((target("avx2,fma")))

namespace bhar {
namespace {

constexpr int kLanes = 8;
constexpr int kBlockRows = 6;
constexpr int kBlockVectors = 2;

alignas(32) constexpr std::int32_t kMaskSource[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                              0,  0,  0,  0,  0,  0,  0,  0};

BHAR_AVX2 inline __m256i first_lanes(std::int64_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMaskSource + kLanes - count));
}

// The sums of `Rows` rows and `Vectors` vectors of channels; the mask cuts the last vector.
template <int Rows, int Vectors>
BHAR_AVX2 void block(const TemporalConvFrame& p, std::int64_t row, std::int64_t o, __m256i mask) {
  __m256 sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; ++i) {
    const __m256i lanes = i == Vectors - 1 ? mask : _mm256_set1_epi32(-1);
    const __m256 bias = _mm256_maskload_ps(p.bias + o + i * kLanes, lanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) sums[r][i] = bias;
  }
  const float* weight = p.weight + o;
  for (std::int64_t k = 0; k < p.k; ++k) {
    const float* x = p.taps[k] + row * p.inputs;
    for (std::int64_t c = 0; c < p.inputs; ++c, ++x, weight += p.outputs) {
      __m256 columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors - 1; ++i) columns[i] = _mm256_loadu_ps(weight + i * kLanes);
      columns[Vectors - 1] = _mm256_maskload_ps(weight + (Vectors - 1) * kLanes, mask);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const __m256 joint = _mm256_broadcast_ss(x + r * p.inputs);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) {
          sums[r][i] = _mm256_fmadd_ps(joint, columns[i], sums[r][i]);
        }
      }
    }
  }
  const __m256 slope = _mm256_set1_ps(p.slope);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    float* out = p.out + (row + r) * p.outputs + o;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) {
      const __m256 sum = sums[r][i];
      const __m256 below = _mm256_cmp_ps(sum, _mm256_setzero_ps(), _CMP_LT_OQ);
      const __m256 leaked = _mm256_blendv_ps(sum, _mm256_mul_ps(sum, slope), below);
      if (i == Vectors - 1) {
        _mm256_maskstore_ps(out + i * kLanes, mask, leaked);
      } else {
        _mm256_storeu_ps(out + i * kLanes, leaked);
      }
    }
  }
}

// Rows in blocks of nearly the same size: 25 joints are 5 blocks of 5, never a block and a rest of
// one.
template <int Vectors>
BHAR_AVX2 void all_rows(const TemporalConvFrame& p, std::int64_t o, __m256i mask) {
  const std::int64_t blocks = (p.rows + kBlockRows - 1) / kBlockRows;
  std::int64_t first = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t rows = p.rows / blocks + (b < p.rows % blocks ? 1 : 0);
    switch (rows) {
      case 6: block<6, Vectors>(p, first, o, mask); break;
      case 5: block<5, Vectors>(p, first, o, mask); break;
      case 4: block<4, Vectors>(p, first, o, mask); break;
      case 3: block<3, Vectors>(p, first, o, mask); break;
      case 2: block<2, Vectors>(p, first, o, mask); break;
      case 1: block<1, Vectors>(p, first, o, mask); break;
    }
    first += rows;
  }
}

BHAR_AVX2 void run(const TemporalConvFrame& p) {
  for (std::int64_t o = 0; o < p.outputs; o += kBlockVectors * kLanes) {
    const std::int64_t left = p.outputs - o;
    const std::int64_t in_last = left >= kBlockVectors * kLanes ? kLanes : (left - 1) % kLanes + 1;
    if (left <= kLanes) {
      all_rows<1>(p, o, first_lanes(in_last));
    } else {
      all_rows<2>(p, o, first_lanes(in_last));
    }
  }
}

}  // namespace

const TemporalConvFn temporal_conv_f32_avx2 = run;

}  // namespace bhar

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx2 = nullptr;

#endif
