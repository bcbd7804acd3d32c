// The reference: every adjacency as it is defined, the sum in its order.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

float adjacency(const RefinedAggregateSample& p, std::int64_t k, std::int64_t v, std::int64_t w,
                std::int64_t c) {
  const std::int64_t group = c / (p.c / p.groups);
  const float* relation = p.relation + k * p.relation_k + group * p.relation_group;
  float sum =
      p.a[(k * p.w + w) * p.v + v] + (p.shift == nullptr ? 0.0f : p.shift[k * p.weight_r + c]);
  for (std::int64_t r = 0; r < p.r; ++r) {
    sum += p.weight[(k * p.r + r) * p.weight_r + c] * relation[(w * p.v + v) * p.r + r];
  }
  return sum;
}

void run(const RefinedAggregateSample& p) {
  for (std::int64_t w = 0; w < p.w; ++w) {
    for (std::int64_t c = 0; c < p.c; ++c) {
      const float* values = p.value + c;
      float* out = p.out + w * p.out_w + c;
      for (std::int64_t t = 0; t < p.t; ++t) {
        const float bias = p.bias == nullptr ? 0.0f : p.bias[c];
        out[t * p.out_t] = bias + (p.add == nullptr ? 0.0f : p.add[t * p.add_t + w * p.add_w + c]);
      }
      for (std::int64_t k = 0; k < p.k; ++k) {
        for (std::int64_t v = 0; v < p.v; ++v) {
          const float edge = adjacency(p, k, v, w, c);
          const float* value = values + k * p.value_k + v * p.value_v;
          for (std::int64_t t = 0; t < p.t; ++t) out[t * p.out_t] += value[t * p.value_t] * edge;
        }
      }
      for (std::int64_t t = 0; t < p.t; ++t) {
        if (out[t * p.out_t] < 0.0f) out[t * p.out_t] *= p.slope;
      }
    }
  }
}

}  // namespace

const RefinedAggregateFn refined_aggregate_f32_scalar = run;

}  // namespace bhar
