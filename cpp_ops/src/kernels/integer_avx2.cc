// Integers for AVX2: products in pairs of 16 bits, which weights of seven bits cannot overflow.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx2.h"

#define BHAR_INTEGER_KERNEL BHAR_KERNEL
#define BHAR_INTEGER_INLINE BHAR_INLINE

namespace bhar {
namespace {

constexpr int kBlockRows = 3, kBlockVectors = 4;  // 12 sums

using Sums = __m256i;
using Inputs = __m256i;
using Weights = __m256i;

BHAR_INTEGER_INLINE Sums initial(const std::int32_t*) { return _mm256_setzero_si256(); }
BHAR_INTEGER_INLINE Inputs inputs(const std::uint8_t* from) {
  std::int32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm256_set1_epi32(four);
}
BHAR_INTEGER_INLINE Weights weights(const std::int8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
BHAR_INTEGER_INLINE Sums dot(Sums sums, Inputs inputs, Weights weights) {
  const __m256i pairs = _mm256_maddubs_epi16(inputs, weights);
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
BHAR_INTEGER_INLINE Vector as_floats(Sums sums) { return _mm256_cvtepi32_ps(sums); }

// Eight bytes in the low half.
BHAR_INTEGER_INLINE __m128i bytes(Vector x, const QuantizeRow& p) {
  const Vector at = fma(x, all(p.per_step), all(p.zero));
  // Zero comes second: it is what a NaN becomes.
  const Vector within = _mm256_min_ps(_mm256_max_ps(at, all(0.0f)), all(255.0f));
  const __m256i whole = _mm256_cvtps_epi32(within);
  const __m128i low = _mm256_castsi256_si128(whole), high = _mm256_extracti128_si256(whole, 1);
  const __m128i words = _mm_packus_epi32(low, high);
  return _mm_packus_epi16(words, words);
}

BHAR_INTEGER_INLINE void store_bytes(std::uint8_t* to, __m128i bytes) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
}

}  // namespace
}  // namespace bhar

#include "integer_conv_lanes.h"
#include "quantize_lanes.h"

const bhar::IntegerKernels bhar::integer_avx2 = {"avx2", run, quantize};

#else

const bhar::IntegerKernels bhar::integer_avx2 = {"avx2", nullptr, nullptr};

#endif
