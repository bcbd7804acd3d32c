// temporal_conv in integers: bytes in, floats out, the same to the last bit on every CPU.
#pragma once

#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/network.h"
#include "bhar_ops/shape.h"

namespace bhar {

// What is convolved: weight [K, I, O] = values * scale[o], x = (byte - zero) * step.
struct IntegerTemporalConv {
  Integers integers;
  Shape weight_shape;
  Array bias;                         // [O]
  std::vector<std::int64_t> offsets;  // K
  float slope = 1.0f;
};

// Shape of the result for x [N, T, V, I], I a multiple of four: [N, ceil(T / stride), V, O]. Throws
// std::invalid_argument with what was got and what was expected.
Shape integer_temporal_conv_shape(const Shape& x, const IntegerTemporalConv& conv,
                                  std::int64_t stride);

// As temporal_conv. Packs the weight anew: networks do so once.
void integer_temporal_conv(const std::uint8_t* x, const Shape& x_shape,
                           const IntegerTemporalConv& conv, std::int64_t stride, float* out,
                           Isa isa);

// Throws std::invalid_argument unless a step is positive and finite and a zero is a byte.
void expect_bytes(float step, std::int64_t zero);

// out = round(x / step + zero), halves to even, 0 to 255, and 0 for NaN.
void quantize(const float* x, std::int64_t count, float step, std::int64_t zero, std::uint8_t* out,
              Isa isa);

}  // namespace bhar
