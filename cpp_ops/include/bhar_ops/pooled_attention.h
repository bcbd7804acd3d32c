// Attention from one stream to another along time, joints and instances, pooled to a few outputs:
// BHaRNet-P's, as one function of the features of both.
//
// Everything that does not depend on them is folded into the constants beforehand. Means commute
// with linear layers, so the mean over an axis's queries is taken before the values are looked at:
// of every head there is one sum of context tokens to project, and values, output layers and the
// head that follows are one matrix.
#pragma once

#include <array>
#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

constexpr std::int64_t kPooledAxes = 3;  // time, joints, instances

// Dense float32, for each of the three axes: query and key [3, C, H * D] and their biases
// [3, H * D], what LayerNorm multiplies and adds and the factor D^-1/4 folded in; directions
// [3, D, J]; value [3, H, C, O], from normalized tokens to outputs; bias [O].
struct PooledAttention {
  const float *query, *query_bias, *key, *key_bias, *directions, *value, *bias;
  Shape query_shape, query_bias_shape, key_shape, key_bias_shape, directions_shape, value_shape,
      bias_shape;
};

// Throws std::invalid_argument with what was got and what was expected, unless the constants fit
// each other and features of C channels.
void check_pooled_attention(const PooledAttention& attention, std::int64_t channels);

// Shape of the result, [N, O], for x [N, T, M, V, C] and context [N, T', M', V', C], none of whose
// axes but N is empty. Throws as above.
std::array<std::int64_t, 2> pooled_attention_shape(const Shape& x, const Shape& context,
                                                   const PooledAttention& attention);

// For each axis a: the tokens q of x and k of context are their means over the other two axes, then
// normalized to mean 0 and variance 1 (plus 1e-5) over their channels; phi are the random features
// of their heads (kernels.h).
//   weight[h, k] = mean_q phi(q[h]) . phi(k[h]) / sum_k' phi(q[h]) . phi(k'[h])
//   out[n] = bias + sum_a sum_h (sum_k weight[h, k] * k) @ value[a, h]
// Allocates only when a thread needs more scratch memory than before; no thread is started.
// Source: Choromanski et al. 2021, eq. 5 to 7 (FAVOR+), over the axes of BHaRNet-P.
void pooled_attention(const float* x, const Shape& x_shape, const float* context,
                      const Shape& context_shape, const PooledAttention& attention, float* out,
                      Isa isa);

}  // namespace bhar
