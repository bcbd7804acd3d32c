// graph_aggregate in integers: bytes in, floats out, the same to the last bit on every CPU.
#pragma once

#include <array>
#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

// What is aggregated: x = (byte - zero) * step, a = integer * scale of the joint that is summed to.
struct IntegerGraphAggregate {
  const std::uint8_t* x;  // [N, K, C, T, V]
  const std::int8_t* a;  // [K, V, W] or [N, K, C, V, W], each within -kMostInteger and kMostInteger
  const float* scale;    // [W]
  Shape x_shape, a_shape, scale_shape;
  float step;
  std::int64_t zero;
};

// Shape of the result: [N, C, T, W]. Throws std::invalid_argument with what was got and what was
// expected.
std::array<std::int64_t, 4> integer_graph_aggregate_shape(const IntegerGraphAggregate& problem);

// As graph_aggregate. The adjacencies are packed anew, into memory that is allocated here.
void integer_graph_aggregate(const IntegerGraphAggregate& problem, float* out, Isa isa);

}  // namespace bhar
