// NEON: 4 differences at a time. The joints that are related from are packed into the last row of
// the result, which is written last: so no other memory is needed.

#include "bhar_ops/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace bhar {
namespace {

constexpr int kLanes = 4;

// x P(x^2) / Q(x^2), of relative error 2.1e-8 up to 9, where tanh is 1 in float32.
float32x4_t tanh_of(float32x4_t difference) {
  float32x4_t x = vminq_f32(vdupq_n_f32(9.0f), difference);
  x = vmaxq_f32(vdupq_n_f32(-9.0f), x);
  const float32x4_t square = vmulq_f32(x, x);
  float32x4_t above = vdupq_n_f32(kTanhAbove[0]), below = vdupq_n_f32(kTanhBelow[0]);
#pragma GCC unroll 4
  for (int i = 1; i < 5; ++i) {
    above = vfmaq_f32(vdupq_n_f32(kTanhAbove[i]), above, square);
    below = vfmaq_f32(vdupq_n_f32(kTanhBelow[i]), below, square);
  }
  const float32x4_t ratio = vdivq_f32(vmulq_f32(x, above), below);
  return vmaxq_f32(vdupq_n_f32(-1.0f), vminq_f32(vdupq_n_f32(1.0f), ratio));
}

void row_of(const float* to, const float* from, float* out, std::int64_t r, std::int64_t count) {
  // The same R values again and again, so that a vector may begin at any of them.
  float pattern[kMaxRelations + kLanes];
  for (std::int64_t i = 0; i < r; ++i) pattern[i] = to[i];
  for (std::int64_t i = r; i < r + kLanes; ++i) pattern[i] = pattern[i - r];
  const std::int64_t step = kLanes % r;
  std::int64_t at = 0, i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    vst1q_f32(out + i, tanh_of(vsubq_f32(vld1q_f32(pattern + at), vld1q_f32(from + i))));
    at = at + step < r ? at + step : at + step - r;
  }
  if (i == count) return;
  float rest[kLanes] = {}, last[kLanes];
  for (std::int64_t j = 0; j < count - i; ++j) rest[j] = from[i + j];
  vst1q_f32(last, tanh_of(vsubq_f32(vld1q_f32(pattern + at), vld1q_f32(rest))));
  for (std::int64_t j = 0; j < count - i; ++j) out[i + j] = last[j];
}

void run(const PairwiseTanhSample& p) {
  const std::int64_t count = p.v * p.r;
  for (std::int64_t m = 0; m < p.maps; ++m) {
    float* rows = p.out + m * p.w * count;
    float* packed = rows + (p.w - 1) * count;
    for (std::int64_t v = 0; v < p.v; ++v) {
      for (std::int64_t i = 0; i < p.r; ++i) {
        packed[v * p.r + i] = p.from[(v * p.maps + m) * p.r + i];
      }
    }
    for (std::int64_t w = 0; w < p.w; ++w) {
      row_of(p.to + (w * p.maps + m) * p.r, packed, rows + w * count, p.r, count);
    }
  }
}

}  // namespace

const PairwiseTanhFn pairwise_tanh_f32_neon = run;

}  // namespace bhar

#else

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_neon = nullptr;

#endif
