// AVX-512F: blocks of up to 12 rows x 32 columns, so 24 sums stay in registers over all of K and V.
// The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x slower).

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "blocks.h"
#include "lanes_avx512.h"

namespace bhar {
namespace {

constexpr int kBlockRows = 12, kBlockVectors = 2;

// What is read comes from far away once models have several blocks: it is asked for while the sums
// before it are made. So many bytes ahead of x, which is read in K streams, and of out.
constexpr std::int64_t kAhead = 2048, kLine = 64;

// What the block after the next ones needs.
BHAR_INLINE void ask_for(const float* at, std::int64_t line) {
  __builtin_prefetch(reinterpret_cast<const char*>(at) + kAhead + line * kLine);
}

// The sums of `Rows` rows and `Vectors` vectors of columns; `last` is what the last vector has.
// next_a: from a matrix to the one that is read after it.
template <int Rows, int Vectors, class Last>
BHAR_KERNEL void block(const GraphAggregateProblem& p, const float* x, const float* a, float* out,
                       std::int64_t next_a, Last last) {
  Vector sums[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) sums[r][i] = all(0.0f);
  }
  const std::int64_t lines = (Rows * p.v + kLanes - 1) / kLanes;
  for (std::int64_t k = 0; k < p.k; ++k) {
    // Of every third row: what x86 adds to an address is one stride, or two.
    const float* rows[(Rows + 2) / 3];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; r += 3) rows[r / 3] = x + k * p.x_k_stride + r * p.v;
    const float* a_row = a + k * p.a_k_stride;
    for (std::int64_t v = 0; v < p.v; ++v, a_row += p.w) {
      Vector columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors; ++i) {
        const float* from = a_row + i * kLanes;
        columns[i] = i == Vectors - 1 ? load(from, last) : load(from, Whole{});
        if (next_a != 0) __builtin_prefetch(from + next_a);
      }
      if (v < lines) ask_for(x + k * p.x_k_stride, v);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Vector joint = all(rows[r / 3][r % 3 * p.v]);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) sums[r][i] = fma(joint, columns[i], sums[r][i]);
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r += 3) ++rows[r / 3];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    float* row = out + r * p.w;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors - 1; ++i) {
      ask_for(row, i);
      store(row + i * kLanes, sums[r][i], Whole{});
    }
    ask_for(row, Vectors - 1);
    store(row + (Vectors - 1) * kLanes, sums[r][Vectors - 1], last);
  }
}

template <int Rows, int Vectors, class Last>
BHAR_KERNEL void rows_of(const GraphAggregateProblem& p, std::int64_t rows, const float* x,
                         const float* a, float* out, std::int64_t next_a, Last last) {
  if (rows == Rows) {
    block<Rows, Vectors>(p, x, a, out, next_a, last);
  } else if constexpr (Rows > 1) {
    rows_of<Rows - 1, Vectors>(p, rows, x, a, out, next_a, last);
  }
}

template <int Vectors, class Last>
BHAR_KERNEL void all_rows(const GraphAggregateProblem& p, const float* x, const float* a,
                          float* out, std::int64_t next_a, Last last) {
  const Blocks blocks(p.rows, kBlockRows);
  for (std::int64_t i = 0, row = 0; i < blocks.count; row += blocks.size(i), ++i) {
    rows_of<kBlockRows, Vectors>(p, blocks.size(i), x + row * p.v, a, out + row * p.w,
                                 i == 0 ? next_a : 0, last);
  }
}

BHAR_KERNEL void group(const GraphAggregateProblem& p, const float* x, const float* a, float* out,
                       std::int64_t next_a) {
  for (std::int64_t w = 0; w < p.w; w += kBlockVectors * kLanes) {
    const std::int64_t left = p.w - w;
    if (left >= kBlockVectors * kLanes) {
      all_rows<2>(p, x, a + w, out + w, next_a, Whole{});
    } else if (left > kLanes) {
      all_rows<2>(p, x, a + w, out + w, next_a, first(left - kLanes));
    } else {
      all_rows<1>(p, x, a + w, out + w, next_a, first(left));
    }
  }
}

void run(const GraphAggregateProblem& p) {
  for (std::int64_t g = 0; g < p.outer * p.inner; ++g) {
    const std::int64_t n = g / p.inner, c = g % p.inner;
    group(p, p.x + n * p.x_outer_stride + c * p.x_inner_stride,
          p.a + n * p.a_outer_stride + c * p.a_inner_stride, p.out + g * p.rows * p.w,
          p.a_inner_stride);
  }
}

}  // namespace

const GraphAggregateFn graph_aggregate_f32_avx512 = run;

}  // namespace bhar

#else

const bhar::GraphAggregateFn bhar::graph_aggregate_f32_avx512 = nullptr;

#endif
