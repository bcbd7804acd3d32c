// Integers for AVX-512 with VNNI: four products and their sum in one instruction.

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include "lanes_avx512.h"

#define BHAR_INTEGER_KERNEL __attribute__((target("avx512f,avx512vnni")))
#define BHAR_INTEGER_INLINE BHAR_INTEGER_KERNEL __attribute__((always_inline)) inline

namespace bhar {
namespace {

constexpr int kBlockRows = 9, kBlockVectors = 2;  // 18 sums

using Sums = __m512i;
using Inputs = __m512i;
using Weights = __m512i;

BHAR_INTEGER_INLINE Sums initial(const std::int32_t*) { return _mm512_setzero_si512(); }
BHAR_INTEGER_INLINE Inputs inputs(const std::uint8_t* from) {
  std::int32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm512_set1_epi32(four);
}
BHAR_INTEGER_INLINE Weights weights(const std::int8_t* from) { return _mm512_loadu_si512(from); }
// The intrinsic, whose sums GCC 12 copies and even stores in every turn.
BHAR_INTEGER_INLINE Sums dot(Sums sums, Inputs inputs, Weights weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(inputs), "v"(weights));
  return sums;
}
BHAR_INTEGER_INLINE Vector as_floats(Sums sums) { return _mm512_maskz_cvtepi32_ps(kAll, sums); }

BHAR_INTEGER_INLINE __m128i bytes(Vector x, const QuantizeRow& p) {
  const Vector at = fma(x, all(p.per_step), all(p.zero));
  // Zero comes second: it is what a NaN becomes. What is too great becomes so as integer: what
  // does not fit one is 2^31 there, without a sign.
  const Vector above = _mm512_maskz_max_ps(kAll, at, all(0.0f));
  return _mm512_maskz_cvtusepi32_epi8(kAll, _mm512_maskz_cvtps_epi32(kAll, above));
}

BHAR_INTEGER_INLINE void store_bytes(std::uint8_t* to, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}

}  // namespace
}  // namespace bhar

#include "integer_conv_lanes.h"
#include "quantize_lanes.h"

const bhar::IntegerKernels bhar::integer_avx512vnni = {"avx512 vnni", run, quantize};

#else

const bhar::IntegerKernels bhar::integer_avx512vnni = {"avx512 vnni", nullptr, nullptr};

#endif
