// AVX2 + FMA: blocks of 3 rows x 32 columns, so 12 sums stay in registers over all of K and V.
// The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x slower).

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX2 __attribute__((target("avx2,fma")))

namespace bhar {
namespace {

constexpr int kLanes = 8;
constexpr int kBlockRows = 3;
constexpr int kBlockVectors = 4;

alignas(32) constexpr std::int32_t kMaskSource[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                              0,  0,  0,  0,  0,  0,  0,  0};

// The sums of `Rows` rows and `Vectors` vectors of columns; the mask cuts the last vector.
template <int Rows, int Vectors>
BHAR_AVX2 void block(const GraphAggregateProblem& p, const float* x, const float* a, float* out,
                     __m256i mask) {
  __m256 sums[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) sums[r][i] = _mm256_setzero_ps();
  }
  for (std::int64_t k = 0; k < p.k; ++k) {
    const float* x_row = x + k * p.x_k_stride;
    const float* a_row = a + k * p.a_k_stride;
    for (std::int64_t v = 0; v < p.v; ++v, ++x_row, a_row += p.w) {
      __m256 columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors - 1; ++i) columns[i] = _mm256_loadu_ps(a_row + i * kLanes);
      columns[Vectors - 1] = _mm256_maskload_ps(a_row + (Vectors - 1) * kLanes, mask);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const __m256 joint = _mm256_broadcast_ss(x_row + r * p.v);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) {
          sums[r][i] = _mm256_fmadd_ps(joint, columns[i], sums[r][i]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    float* row = out + r * p.w;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors - 1; ++i) _mm256_storeu_ps(row + i * kLanes, sums[r][i]);
    _mm256_maskstore_ps(row + (Vectors - 1) * kLanes, mask, sums[r][Vectors - 1]);
  }
}

template <int Vectors>
BHAR_AVX2 void all_rows(const GraphAggregateProblem& p, const float* x, const float* a, float* out,
                        __m256i mask) {
  std::int64_t r = 0;
  for (; r + kBlockRows <= p.rows; r += kBlockRows) {
    block<kBlockRows, Vectors>(p, x + r * p.v, a, out + r * p.w, mask);
  }
  for (; r < p.rows; ++r) block<1, Vectors>(p, x + r * p.v, a, out + r * p.w, mask);
}

BHAR_AVX2 void group(const GraphAggregateProblem& p, const float* x, const float* a, float* out) {
  for (std::int64_t w = 0; w < p.w; w += kBlockVectors * kLanes) {
    const std::int64_t left = p.w - w;
    const std::int64_t vectors = (left + kLanes - 1) / kLanes;
    const std::int64_t in_last = left - (vectors - 1) * kLanes;
    const __m256i all = _mm256_set1_epi32(-1);
    const auto* mask_source = reinterpret_cast<const __m256i*>(kMaskSource + kLanes - in_last);
    const __m256i tail = _mm256_loadu_si256(mask_source);
    switch (vectors) {
      case 1: all_rows<1>(p, x, a + w, out + w, tail); break;
      case 2: all_rows<2>(p, x, a + w, out + w, tail); break;
      case 3: all_rows<3>(p, x, a + w, out + w, tail); break;
      case 4: all_rows<4>(p, x, a + w, out + w, tail); break;
      default: all_rows<kBlockVectors>(p, x, a + w, out + w, all); break;
    }
  }
}

void run(const GraphAggregateProblem& p) {
  for (std::int64_t g = 0; g < p.outer * p.inner; ++g) {
    group(p, p.x + (g / p.inner) * p.x_outer_stride + (g % p.inner) * p.x_inner_stride,
          p.a + (g / p.inner) * p.a_outer_stride + (g % p.inner) * p.a_inner_stride,
          p.out + g * p.rows * p.w);
  }
}

}  // namespace

const GraphAggregateFn graph_aggregate_f32_avx2 = run;

}  // namespace bhar

#else

const bhar::GraphAggregateFn bhar::graph_aggregate_f32_avx2 = nullptr;

#endif
