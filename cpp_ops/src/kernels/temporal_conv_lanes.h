// temporal_conv of one frame, for the lanes that are included before: blocks of up to kBlockVectors
// vectors of channels and block_rows() of them joints, whose sums stay in registers over all of K
// and I. The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x
// slower).
#pragma once

#include "bhar_ops/kernels.h"
#include "blocks.h"

namespace bhar {
namespace {

template <int Rows, int Vectors, class Last>
BHAR_INLINE void add_to(const TemporalConvFrame& p, std::int64_t row, std::int64_t o, Last last,
                        Vector (&sums)[Rows][Vectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const float* from = p.add + (row + r) * p.add_stride + o;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i, from += kLanes) {
      const Vector other = i == Vectors - 1 ? load(from, last) : load(from, Whole{});
      sums[r][i] = add(sums[r][i], other);
    }
  }
}

template <int Rows, int Vectors, class Last>
BHAR_INLINE void write(const TemporalConvFrame& p, std::int64_t row, std::int64_t o, Last last,
                       const Vector (&sums)[Rows][Vectors]) {
  // Copies: what is written might else be these numbers themselves.
  const std::int64_t stride = p.out_stride, block = p.out_block;
  float* out = p.out + row * stride;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r, out += stride) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) {
      const std::int64_t at = o + i * kLanes;
      float* to = out + at / kChannelBlock * block + at % kChannelBlock;
      if (i < Vectors - 1) {
        store(to, sums[r][i], Whole{});
      } else {
        store(to, sums[r][i], last);
      }
    }
  }
}

// The sums of `Rows` rows and `Vectors` vectors of channels; `last` is what the last vector has.
// What is added is asked for when they begin, and read when they end.
template <int Rows, int Vectors, class Last>
BHAR_KERNEL void block(const TemporalConvFrame& p, std::int64_t row, std::int64_t o, Last last) {
  Vector sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; ++i) {
    const float* from = p.bias + o + i * kLanes;
    const Vector bias = i == Vectors - 1 ? load(from, last) : load(from, Whole{});
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][i] = bias;
  }
  if (p.add != nullptr) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) __builtin_prefetch(p.add + (row + r) * p.add_stride + o);
  }
  const float* weight = p.weight + o;
  for (std::int64_t k = 0; k < p.k; ++k) {
    // Of every third row: what x86 adds to an address is one stride, or two.
    const float* x[(Rows + 2) / 3];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; r += 3) x[r / 3] = p.taps[k] + (row + r) * p.x_stride;
    for (std::int64_t c = 0; c < p.inputs; ++c, weight += p.outputs) {
      Vector columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors - 1; ++i) columns[i] = load(weight + i * kLanes, Whole{});
      columns[Vectors - 1] = load(weight + (Vectors - 1) * kLanes, last);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Vector joint = all(x[r / 3][r % 3 * p.x_stride]);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) sums[r][i] = fma(joint, columns[i], sums[r][i]);
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r += 3) ++x[r / 3];
    }
  }
  if (p.add != nullptr) add_to<Rows, Vectors>(p, row, o, last, sums);
  if (p.slope == 1.0f) {
    write(p, row, o, last, sums);
    return;
  }
  const Vector slope = all(p.slope);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) sums[r][i] = leaky(sums[r][i], slope);
  }
  write(p, row, o, last, sums);
}

template <int Rows, int Vectors, class Last>
BHAR_KERNEL void rows_of(const TemporalConvFrame& p, std::int64_t first_row, std::int64_t rows,
                         std::int64_t o, Last last) {
  if (rows == Rows) {
    block<Rows, Vectors>(p, first_row, o, last);
  } else if constexpr (Rows > 1) {
    rows_of<Rows - 1, Vectors>(p, first_row, rows, o, last);
  }
}

template <int Vectors, class Last>
BHAR_KERNEL void all_rows(const TemporalConvFrame& p, std::int64_t o, Last last) {
  const Blocks blocks(p.rows, block_rows(Vectors));
  for (std::int64_t i = 0, row = 0; i < blocks.count; row += blocks.size(i), ++i) {
    rows_of<block_rows(Vectors), Vectors>(p, row, blocks.size(i), o, last);
  }
}

template <int Vectors>
BHAR_KERNEL void vectors_of(const TemporalConvFrame& p, std::int64_t o, std::int64_t vectors) {
  if (vectors == Vectors) {
    const std::int64_t in_last = p.outputs - o - (Vectors - 1) * kLanes;
    if (in_last >= kLanes) {
      all_rows<Vectors>(p, o, Whole{});
    } else {
      all_rows<Vectors>(p, o, first(in_last));
    }
  } else if constexpr (Vectors > 1) {
    vectors_of<Vectors - 1>(p, o, vectors);
  }
}

BHAR_KERNEL void run(const TemporalConvFrame& p) {
  const Blocks blocks((p.outputs + kLanes - 1) / kLanes, kBlockVectors);
  for (std::int64_t i = 0, o = 0; i < blocks.count; o += blocks.size(i) * kLanes, ++i) {
    vectors_of<kBlockVectors>(p, o, blocks.size(i));
  }
}

}  // namespace
}  // namespace bhar
