// The reference: the rational function of every difference.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

float tanh_of(float difference) {
  // Comparisons that a NaN passes through.
  const float x = difference > 9.0f ? 9.0f : difference < -9.0f ? -9.0f : difference;
  float above = kTanhAbove[0], below = kTanhBelow[0];
  for (int i = 1; i < 5; ++i) {
    above = above * x * x + kTanhAbove[i];
    below = below * x * x + kTanhBelow[i];
  }
  const float ratio = x * above / below;
  return ratio > 1.0f ? 1.0f : ratio < -1.0f ? -1.0f : ratio;
}

void run(const PairwiseTanhSample& p) {
  for (std::int64_t m = 0; m < p.maps; ++m) {
    for (std::int64_t w = 0; w < p.w; ++w) {
      for (std::int64_t v = 0; v < p.v; ++v) {
        for (std::int64_t i = 0; i < p.r; ++i) {
          const float difference =
              p.to[(w * p.maps + m) * p.r + i] - p.from[(v * p.maps + m) * p.r + i];
          p.out[((m * p.w + w) * p.v + v) * p.r + i] = tanh_of(difference);
        }
      }
    }
  }
}

}  // namespace

const PairwiseTanhFn pairwise_tanh_f32_scalar = run;

}  // namespace bhar
