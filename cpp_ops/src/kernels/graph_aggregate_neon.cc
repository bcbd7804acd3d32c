// NEON: blocks of 4 rows x 16 columns, so 16 sums stay in registers over all of K and V.
// The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x slower).
//
// NEON has no masked load. The last vector of a row is moved back to end at the last column, so
// it overlaps its neighbor and gives the same sums again; fewer than 4 columns go one by one.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace bhar {
namespace {

constexpr int kLanes = 4;
constexpr int kBlockRows = 4;
constexpr int kBlockVectors = 4;

template <int Rows, int Vectors>
void block(const GraphAggregateProblem& p, const float* x, const float* a, float* out) {
  float32x4_t sums[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) sums[r][i] = vdupq_n_f32(0.0f);
  }
  for (std::int64_t k = 0; k < p.k; ++k) {
    const float* x_row = x + k * p.x_k_stride;
    const float* a_row = a + k * p.a_k_stride;
    for (std::int64_t v = 0; v < p.v; ++v, ++x_row, a_row += p.w) {
      float32x4_t columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors; ++i) columns[i] = vld1q_f32(a_row + i * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const float32x4_t joint = vld1q_dup_f32(x_row + r * p.v);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) sums[r][i] = vfmaq_f32(sums[r][i], joint, columns[i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) vst1q_f32(out + r * p.w + i * kLanes, sums[r][i]);
  }
}

template <int Vectors>
void all_rows(const GraphAggregateProblem& p, const float* x, const float* a, float* out) {
  std::int64_t r = 0;
  for (; r + kBlockRows <= p.rows; r += kBlockRows) {
    block<kBlockRows, Vectors>(p, x + r * p.v, a, out + r * p.w);
  }
  for (; r < p.rows; ++r) block<1, Vectors>(p, x + r * p.v, a, out + r * p.w);
}

void one_column(const GraphAggregateProblem& p, const float* x, const float* a, float* out) {
  for (std::int64_t r = 0; r < p.rows; ++r) {
    float sum = 0.0f;
    for (std::int64_t k = 0; k < p.k; ++k) {
      for (std::int64_t v = 0; v < p.v; ++v) {
        sum += x[k * p.x_k_stride + r * p.v + v] * a[k * p.a_k_stride + v * p.w];
      }
    }
    out[r * p.w] = sum;
  }
}

void group(const GraphAggregateProblem& p, const float* x, const float* a, float* out) {
  std::int64_t w = 0;
  for (; w + kBlockVectors * kLanes <= p.w; w += kBlockVectors * kLanes) {
    all_rows<kBlockVectors>(p, x, a + w, out + w);
  }
  const std::int64_t vectors = (p.w - w) / kLanes;
  switch (vectors) {
    case 1: all_rows<1>(p, x, a + w, out + w); break;
    case 2: all_rows<2>(p, x, a + w, out + w); break;
    case 3: all_rows<3>(p, x, a + w, out + w); break;
    default: break;
  }
  w += vectors * kLanes;
  if (w == p.w) return;
  if (p.w >= kLanes) return all_rows<1>(p, x, a + p.w - kLanes, out + p.w - kLanes);
  for (; w < p.w; ++w) one_column(p, x, a + w, out + w);
}

void run(const GraphAggregateProblem& p) {
  for (std::int64_t g = 0; g < p.outer * p.inner; ++g) {
    group(p, p.x + (g / p.inner) * p.x_outer_stride + (g % p.inner) * p.x_inner_stride,
          p.a + (g / p.inner) * p.a_outer_stride + (g % p.inner) * p.a_inner_stride,
          p.out + g * p.rows * p.w);
  }
}

}  // namespace

const GraphAggregateFn graph_aggregate_f32_neon = run;

}  // namespace bhar

#else

const bhar::GraphAggregateFn bhar::graph_aggregate_f32_neon = nullptr;

#endif
