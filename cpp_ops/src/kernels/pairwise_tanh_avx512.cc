// AVX-512F: 16 differences at a time. The joints that are related from are packed into the last row
// of the result, which is written last: so no other memory is needed.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX512 __attribute__((target("avx512f")))

namespace bhar {
namespace {

constexpr int kLanes = 16;
// The forms without a mask warn of an uninitialised value in the headers of GCC 12.
constexpr __mmask16 kAll = 0xffff;

// x P(x^2) / Q(x^2), of relative error 2.1e-8 up to 9, where tanh is 1 in float32.
BHAR_AVX512 __m512 tanh_of(__m512 difference) {
  // A NaN is the second operand, so that it comes through.
  __m512 x = _mm512_maskz_min_ps(kAll, _mm512_set1_ps(9.0f), difference);
  x = _mm512_maskz_max_ps(kAll, _mm512_set1_ps(-9.0f), x);
  const __m512 square = _mm512_mul_ps(x, x);
  __m512 above = _mm512_set1_ps(kTanhAbove[0]), below = _mm512_set1_ps(kTanhBelow[0]);
#pragma GCC unroll 4
  for (int i = 1; i < 5; ++i) {
    above = _mm512_fmadd_ps(above, square, _mm512_set1_ps(kTanhAbove[i]));
    below = _mm512_fmadd_ps(below, square, _mm512_set1_ps(kTanhBelow[i]));
  }
  const __m512 ratio = _mm512_div_ps(_mm512_mul_ps(x, above), below);
  return _mm512_maskz_max_ps(kAll, _mm512_set1_ps(-1.0f),
                             _mm512_maskz_min_ps(kAll, _mm512_set1_ps(1.0f), ratio));
}

BHAR_AVX512 void row_of(const float* to, const float* from, float* out, std::int64_t r,
                        std::int64_t count) {
  // The same R values again and again, so that a vector may begin at any of them.
  float pattern[kMaxRelations + kLanes];
  for (std::int64_t i = 0; i < r; ++i) pattern[i] = to[i];
  for (std::int64_t i = r; i < r + kLanes; ++i) pattern[i] = pattern[i - r];
  const std::int64_t step = kLanes % r;
  std::int64_t at = 0, i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    _mm512_storeu_ps(
        out + i, tanh_of(_mm512_sub_ps(_mm512_loadu_ps(pattern + at), _mm512_loadu_ps(from + i))));
    at = at + step < r ? at + step : at + step - r;
  }
  if (i == count) return;
  const auto mask = static_cast<__mmask16>((1u << (count - i)) - 1u);
  const __m512 rest = _mm512_maskz_loadu_ps(mask, from + i);
  _mm512_mask_storeu_ps(out + i, mask, tanh_of(_mm512_sub_ps(_mm512_loadu_ps(pattern + at), rest)));
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

const PairwiseTanhFn pairwise_tanh_f32_avx512 = run;

}  // namespace bhar

#else

const bhar::PairwiseTanhFn bhar::pairwise_tanh_f32_avx512 = nullptr;

#endif
