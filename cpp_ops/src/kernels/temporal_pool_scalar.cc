// The reference: every result as it is defined.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

// Of two, the greater one; NaN if one is.
float greater(float left, float right) { return left > right || left != left ? left : right; }

float pooled(const TemporalPoolFrame& p, std::int64_t at) {
  float result = p.frames[0][at];
  if (p.weights != nullptr) result *= p.weights[0];
  for (std::int64_t i = 1; i < p.count; ++i) {
    const float x = p.frames[i][at];
    result = p.weights == nullptr ? greater(x, result) : result + p.weights[i] * x;
  }
  return result;
}

void run(const TemporalPoolFrame& p) {
  for (std::int64_t row = 0; row < p.rows; ++row) {
    for (std::int64_t c = 0; c < p.channels; ++c) {
      float sum = pooled(p, row * p.x_stride + c);
      sum =
          sum * (p.scale == nullptr ? 1.0f : p.scale[c]) + (p.shift == nullptr ? 0.0f : p.shift[c]);
      if (p.add != nullptr) sum += p.add[row * p.add_stride + c];
      p.out[row * p.out_stride + c] = sum < 0.0f ? p.slope * sum : sum;
    }
  }
}

}  // namespace

const TemporalPoolFn temporal_pool_f32_scalar = run;

}  // namespace bhar
