// Spatial graph aggregation of skeleton features, the core of every graph convolution.
#pragma once

#include <array>
#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

// Shape of the result, [N, C, T, W], for x [N, K, C, T, V] and a [K, V, W] or [N, K, C, V, W].
// Throws std::invalid_argument with what was got and what was expected.
std::array<std::int64_t, 4> graph_aggregate_shape(const Shape& x, const Shape& a);

// out[n, c, t, w] = sum_k sum_v x[n, k, c, t, v] * a[k, v, w]        (static A: ST-GCN, DeGCN)
//                                                * a[n, k, c, v, w]  (channel-wise A: CTR-GCN)
//
// All arrays are dense row-major float32; out must not overlap x or a. K = 0 or V = 0 gives zeros.
// Nothing is allocated and no thread is started. The numeric bound is stated in kernels.h.
// Source: Yan et al. 2018, eq. 10 (partitions); Chen et al. 2021, eq. 5 (channel-wise topology).
void graph_aggregate(const float* x, const Shape& x_shape, const float* a, const Shape& a_shape,
                     float* out, Isa isa);

}  // namespace bhar
