// Aggregation over adjacencies that a network refines for each sample and channel (CTR-GC), without
// ever storing them: they are many times larger than the features.
#pragma once

#include <array>
#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

// Dense float32 of N samples: value [N, K, T, V, C], relation [N, K, G, W, V, R], weight [K, R, C],
// shift [K, C], a [K, W, V]. G groups of C / G channels each have R relations to a joint w from v.
struct RefinedAggregate {
  const float* value;
  const float* relation;
  const float* weight;
  const float* shift;
  const float* a;
  Shape value_shape, relation_shape, weight_shape, shift_shape, a_shape;
};

// Shape of the result: [N, T, W, C]. Throws std::invalid_argument with what was got and what was
// expected.
std::array<std::int64_t, 4> refined_aggregate_shape(const RefinedAggregate& problem);

// out[n, t, w, c] = sum_k sum_v value[n, k, t, v, c] * (a[k, w, v] + shift[k, c]
//                   + sum_r weight[k, r, c] * relation[n, k, group of c, w, v, r]).
// Nothing is allocated after a thread's first call, and no thread is started. The numeric bound is
// stated in kernels.h.
// Source: Chen et al. 2021, equations 3 to 5 and 8, the channels in G groups.
void refined_aggregate(const RefinedAggregate& problem, float* out, Isa isa);

}  // namespace bhar
