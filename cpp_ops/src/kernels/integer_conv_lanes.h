// integer_conv of one frame, for the lanes that are included before and the integers of the file
// that includes this: blocks of up to kBlockRows joints x kBlockVectors vectors of channels, as in
// temporal_conv_lanes.h. The file defines
//   Sums                        kLanes sums, not yet one number each where that costs less
//   Inputs, Weights             four inputs of a joint, and what they meet in kLanes channels
//   initial(totals), dot(sums, inputs, weights), as_floats(sums)
#pragma once

#include "bhar_ops/kernels.h"
#include "blocks.h"

namespace bhar {
namespace {

// p by value: what is stored cannot change it.
template <int Rows, int Vectors, class Last>
BHAR_INTEGER_KERNEL void finish(const IntegerConvFrame p, const Sums (&sums)[Rows][Vectors],
                                std::int64_t row, std::int64_t o, Last last) {
  const Vector slope = all(p.slope);
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; ++i) {
    const std::int64_t at = o + i * kLanes;
    const Vector scale = load(p.scale + at, Whole{}), bias = load(p.bias + at, Whole{});
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      Vector result = fma(as_floats(sums[r][i]), scale, bias);
      float* to =
          p.out + (row + r) * p.out_stride + at / kChannelBlock * p.out_block + at % kChannelBlock;
      const float* other = p.add + (row + r) * p.add_stride + at;
      if (i < Vectors - 1) {
        if (p.add != nullptr) result = add(result, load(other, Whole{}));
        store(to, leaky(result, slope), Whole{});
      } else {
        if (p.add != nullptr) result = add(result, load(other, last));
        store(to, leaky(result, slope), last);
      }
    }
  }
}

template <int Rows, int Vectors, class Last>
BHAR_INTEGER_KERNEL void block(const IntegerConvFrame& p, std::int64_t row, std::int64_t o,
                               Last last) {
  const std::int64_t padded = (p.outputs + kChannelBlock - 1) / kChannelBlock * kChannelBlock;
  Sums sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; ++i) {
    const Sums none = initial(p.totals + o + i * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][i] = none;
  }
  const std::int8_t* weight = p.weight + o * kInputsAtOnce;
  for (std::int64_t k = 0; k < p.k; ++k) {
    const std::uint8_t* x = p.taps[k] + row * p.x_stride;
    for (std::int64_t c = 0; c < p.inputs; c += kInputsAtOnce) {
      Weights columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors; ++i) columns[i] = weights(weight + i * kLanes * kInputsAtOnce);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Inputs joint = inputs(x + r * p.x_stride + c);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) sums[r][i] = dot(sums[r][i], joint, columns[i]);
      }
      weight += padded * kInputsAtOnce;
    }
  }
  finish<Rows, Vectors>(p, sums, row, o, last);
}

template <int Rows, int Vectors, class Last>
BHAR_INTEGER_KERNEL void rows_of(const IntegerConvFrame& p, std::int64_t first_row,
                                 std::int64_t rows, std::int64_t o, Last last) {
  if (rows == Rows) {
    block<Rows, Vectors>(p, first_row, o, last);
  } else if constexpr (Rows > 1) {
    rows_of<Rows - 1, Vectors>(p, first_row, rows, o, last);
  }
}

template <int Vectors, class Last>
BHAR_INTEGER_KERNEL void all_rows(const IntegerConvFrame& p, std::int64_t o, Last last) {
  const Blocks blocks(p.rows, kBlockRows);
  for (std::int64_t i = 0, row = 0; i < blocks.count; row += blocks.size(i), ++i) {
    rows_of<kBlockRows, Vectors>(p, row, blocks.size(i), o, last);
  }
}

template <int Vectors>
BHAR_INTEGER_KERNEL void vectors_of(const IntegerConvFrame& p, std::int64_t o,
                                    std::int64_t channels) {
  const std::int64_t in_last = channels - (Vectors - 1) * kLanes;
  if (in_last >= kLanes) {
    all_rows<Vectors>(p, o, Whole{});
  } else if (in_last > 0) {
    all_rows<Vectors>(p, o, first(in_last));
  } else if constexpr (Vectors > 1) {
    vectors_of<Vectors - 1>(p, o, channels);
  }
}

BHAR_INTEGER_KERNEL void run(const IntegerConvFrame& p) {
  for (std::int64_t o = 0; o < p.outputs; o += kBlockVectors * kLanes) {
    vectors_of<kBlockVectors>(p, o, p.outputs - o);
  }
}

}  // namespace
}  // namespace bhar
