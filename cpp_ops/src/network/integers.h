// Weights in integers, packed for the kernels of an instruction set.
#pragma once

#include <cstdint>
#include <vector>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/network.h"

namespace bhar {

constexpr float kLeastStep = 1e-30f, kMostStep = 1e30f;

// Throws std::invalid_argument unless they are of so many inputs and outputs, of each group and in
// all, and no sum of `terms` products overflows.
void expect_integers(const Integers& integers, std::int64_t inputs, std::int64_t outputs,
                     std::int64_t terms);

// The weight of a convolution in groups, [G, K, I, O] each: what its kernel reads, and how the
// floats that it meets become bytes.
class IntegerWeight {
 public:
  // bias: [G * O].
  IntegerWeight(const Integers& integers, const Shape& shape, const Array& bias, Isa isa);

  std::int64_t inputs() const { return groups_ * inputs_; }
  std::uint8_t zero() const { return static_cast<std::uint8_t>(zero_); }

  // `rows` rows of `channels`, `stride` floats apart -> bytes, dense.
  void quantize(const float* x, std::int64_t rows, std::int64_t channels, std::int64_t stride,
                std::uint8_t* out) const;

  // One frame in all groups. taps: K frames of `rows` rows of all inputs, dense bytes; they are
  // moved. frame: where rows, add and out lie, and the slope; out_group: how far apart, in floats,
  // the outputs of groups are, those of add being dense.
  void compute(IntegerConvFrame frame, const std::uint8_t** taps, std::int64_t out_group) const;

  // One frame in one group, whose inputs the taps of `frame` begin with, x_stride bytes apart.
  void compute_group(IntegerConvFrame frame, std::int64_t group) const;

 private:
  std::int64_t groups_, taps_, inputs_, outputs_, padded_;
  float per_step_, zero_;
  std::vector<std::int8_t, CacheLineAllocator<std::int8_t>> weight_;  // [G, K, I / 4, padded, 4]
  std::vector<std::int32_t> totals_;                                  // [G, padded]
  Floats scale_, bias_;                                               // [G, padded]
  const IntegerKernels* kernels_;
};

}  // namespace bhar
