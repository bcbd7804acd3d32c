// The reference: the plain sum in the order of its definition.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

void run(const GraphAggregateProblem& p) {
  for (std::int64_t g = 0; g < p.outer * p.inner; ++g) {
    const float* x = p.x + (g / p.inner) * p.x_outer_stride + (g % p.inner) * p.x_inner_stride;
    const float* a = p.a + (g / p.inner) * p.a_outer_stride + (g % p.inner) * p.a_inner_stride;
    float* out = p.out + g * p.rows * p.w;
    for (std::int64_t r = 0; r < p.rows; ++r) {
      for (std::int64_t w = 0; w < p.w; ++w) {
        float sum = 0.0f;
        for (std::int64_t k = 0; k < p.k; ++k) {
          for (std::int64_t v = 0; v < p.v; ++v) {
            sum += x[k * p.x_k_stride + r * p.v + v] * a[k * p.a_k_stride + v * p.w + w];
          }
        }
        out[r * p.w + w] = sum;
      }
    }
  }
}

}  // namespace

const GraphAggregateFn graph_aggregate_f32_scalar = run;

}  // namespace bhar
