// The reference: every adjacency as it is defined, the sum in its order.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

float adjacency(const RefinedAggregateSample& p, std::int64_t k, std::int64_t v, std::int64_t w,
                std::int64_t c) {
  const std::int64_t group = c / (p.c / p.groups);
  const float* relation = p.relation + (((k * p.groups + group) * p.w + w) * p.v + v) * p.r;
  float sum = p.a[(k * p.w + w) * p.v + v] + p.shift[k * p.c + c];
  for (std::int64_t r = 0; r < p.r; ++r) {
    sum += p.weight[(k * p.r + r) * p.c + c] * relation[r];
  }
  return sum;
}

void run(const RefinedAggregateSample& p) {
  for (std::int64_t w = 0; w < p.w; ++w) {
    for (std::int64_t c = 0; c < p.c; ++c) {
      for (std::int64_t t = 0; t < p.t; ++t) p.out[(t * p.w + w) * p.c + c] = 0.0f;
      for (std::int64_t k = 0; k < p.k; ++k) {
        for (std::int64_t v = 0; v < p.v; ++v) {
          const float edge = adjacency(p, k, v, w, c);
          for (std::int64_t t = 0; t < p.t; ++t) {
            p.out[(t * p.w + w) * p.c + c] += p.value[((k * p.t + t) * p.v + v) * p.c + c] * edge;
          }
        }
      }
    }
  }
}

}  // namespace

const RefinedAggregateFn refined_aggregate_f32_scalar = run;

}  // namespace bhar
