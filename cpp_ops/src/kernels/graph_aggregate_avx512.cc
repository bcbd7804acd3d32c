// AVX-512F: blocks of 8 rows x 32 columns, so 16 sums stay in registers over all of K and V.
// The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x slower).

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX512 __attribute__((target("avx512f")))

namespace bhar {
namespace {

constexpr int kLanes = 16;
constexpr int kBlockRows = 8;
constexpr int kBlockVectors = 2;

// The sums of `Rows` rows and `Vectors` vectors of columns; the mask cuts the last vector.
template <int Rows, int Vectors>
BHAR_AVX512 void block(const GraphAggregateProblem& p, const float* x, const float* a, float* out,
                       __mmask16 mask) {
  __m512 sums[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) sums[r][i] = _mm512_setzero_ps();
  }
  for (std::int64_t k = 0; k < p.k; ++k) {
    const float* x_row = x + k * p.x_k_stride;
    const float* a_row = a + k * p.a_k_stride;
    for (std::int64_t v = 0; v < p.v; ++v, ++x_row, a_row += p.w) {
      __m512 columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors - 1; ++i) columns[i] = _mm512_loadu_ps(a_row + i * kLanes);
      columns[Vectors - 1] = _mm512_maskz_loadu_ps(mask, a_row + (Vectors - 1) * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const __m512 joint = _mm512_set1_ps(x_row[r * p.v]);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) {
          sums[r][i] = _mm512_fmadd_ps(joint, columns[i], sums[r][i]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    float* row = out + r * p.w;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors - 1; ++i) _mm512_storeu_ps(row + i * kLanes, sums[r][i]);
    _mm512_mask_storeu_ps(row + (Vectors - 1) * kLanes, mask, sums[r][Vectors - 1]);
  }
}

template <int Vectors>
BHAR_AVX512 void all_rows(const GraphAggregateProblem& p, const float* x, const float* a,
                          float* out, __mmask16 mask) {
  std::int64_t r = 0;
  for (; r + kBlockRows <= p.rows; r += kBlockRows) {
    block<kBlockRows, Vectors>(p, x + r * p.v, a, out + r * p.w, mask);
  }
  for (; r < p.rows; ++r) block<1, Vectors>(p, x + r * p.v, a, out + r * p.w, mask);
}

BHAR_AVX512 void group(const GraphAggregateProblem& p, const float* x, const float* a, float* out) {
  for (std::int64_t w = 0; w < p.w; w += kBlockVectors * kLanes) {
    const std::int64_t left = p.w - w;
    const std::int64_t in_last = left >= kBlockVectors * kLanes ? kLanes : (left - 1) % kLanes + 1;
    const auto mask = static_cast<__mmask16>((1u << in_last) - 1u);
    if (left <= kLanes) {
      all_rows<1>(p, x, a + w, out + w, mask);
    } else {
      all_rows<2>(p, x, a + w, out + w, mask);
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

const GraphAggregateFn graph_aggregate_f32_avx512 = run;

}  // namespace bhar

#else

const bhar::GraphAggregateFn bhar::graph_aggregate_f32_avx512 = nullptr;

#endif
