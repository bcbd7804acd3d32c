// Relations between all joints, from what each joint says of itself: the topology refinement of
// CTR-GC before its weights.
#pragma once

#include <array>
#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

// Shape of the result, [N, M, W, V, R], for to [N, W, M, R] and from [N, V, M, R]. R is at most
// kMaxRelations. Throws std::invalid_argument with what was got and what was expected.
std::array<std::int64_t, 5> pairwise_tanh_shape(const Shape& to, const Shape& from);

// out[n, m, w, v, r] = tanh(to[n, w, m, r] - from[n, v, m, r]), all arrays dense float32.
// Nothing is allocated and no thread is started. The numeric bound is stated in kernels.h.
// Source: Chen et al. 2021, equation 3.
void pairwise_tanh(const float* to, const Shape& to_shape, const float* from,
                   const Shape& from_shape, float* out, Isa isa);

}  // namespace bhar
