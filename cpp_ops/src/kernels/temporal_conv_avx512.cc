// AVX-512F: blocks of up to 9 rows x 32 channels, so 18 sums stay in registers over all of K and I.
// The loops of a block are unrolled by request: GCC alone keeps the sums on the stack (2x slower).

#include "bhar_ops/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BHAR_AVX512 __attribute__((target("avx512f")))

namespace bhar {
namespace {

constexpr int kLanes = 16;
constexpr int kBlockRows = 9;
constexpr int kBlockVectors = 2;

// The sums of `Rows` rows and `Vectors` vectors of channels; the mask cuts the last vector.
template <int Rows, int Vectors>
BHAR_AVX512 void block(const TemporalConvFrame& p, std::int64_t row, std::int64_t o,
                       __mmask16 mask) {
  __m512 sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; ++i) {
    const __mmask16 lanes = i == Vectors - 1 ? mask : static_cast<__mmask16>(0xffff);
    const __m512 bias = _mm512_maskz_loadu_ps(lanes, p.bias + o + i * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][i] = bias;
  }
  const float* weight = p.weight + o;
  for (std::int64_t k = 0; k < p.k; ++k) {
    const float* x = p.taps[k] + row * p.inputs;
    for (std::int64_t c = 0; c < p.inputs; ++c, ++x, weight += p.outputs) {
      __m512 columns[Vectors];
#pragma GCC unroll 4
      for (int i = 0; i < Vectors - 1; ++i) columns[i] = _mm512_loadu_ps(weight + i * kLanes);
      columns[Vectors - 1] = _mm512_maskz_loadu_ps(mask, weight + (Vectors - 1) * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const __m512 joint = _mm512_set1_ps(x[r * p.inputs]);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) {
          sums[r][i] = _mm512_fmadd_ps(joint, columns[i], sums[r][i]);
        }
      }
    }
  }
  const __m512 slope = _mm512_set1_ps(p.slope);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    float* out = p.out + (row + r) * p.outputs + o;
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) {
      const __mmask16 lanes = i == Vectors - 1 ? mask : static_cast<__mmask16>(0xffff);
      const __mmask16 below = _mm512_cmp_ps_mask(sums[r][i], _mm512_setzero_ps(), _CMP_LT_OQ);
      const __m512 leaked = _mm512_mask_mul_ps(sums[r][i], below, sums[r][i], slope);
      _mm512_mask_storeu_ps(out + i * kLanes, lanes, leaked);
    }
  }
}

// Rows in blocks of nearly the same size: 25 joints are 9 + 8 + 8, never a block and a rest of one.
template <int Vectors>
BHAR_AVX512 void all_rows(const TemporalConvFrame& p, std::int64_t o, __mmask16 mask) {
  const std::int64_t blocks = (p.rows + kBlockRows - 1) / kBlockRows;
  std::int64_t first = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t rows = p.rows / blocks + (b < p.rows % blocks ? 1 : 0);
    switch (rows) {
      case 9: block<9, Vectors>(p, first, o, mask); break;
      case 8: block<8, Vectors>(p, first, o, mask); break;
      case 7: block<7, Vectors>(p, first, o, mask); break;
      case 6: block<6, Vectors>(p, first, o, mask); break;
      case 5: block<5, Vectors>(p, first, o, mask); break;
      case 4: block<4, Vectors>(p, first, o, mask); break;
      case 3: block<3, Vectors>(p, first, o, mask); break;
      case 2: block<2, Vectors>(p, first, o, mask); break;
      case 1: block<1, Vectors>(p, first, o, mask); break;
    }
    first += rows;
  }
}

void run(const TemporalConvFrame& p) {
  for (std::int64_t o = 0; o < p.outputs; o += kBlockVectors * kLanes) {
    const std::int64_t left = p.outputs - o;
    const std::int64_t in_last = left >= kBlockVectors * kLanes ? kLanes : (left - 1) % kLanes + 1;
    const auto mask = static_cast<__mmask16>((1u << in_last) - 1u);
    if (left <= kLanes) {
      all_rows<1>(p, o, mask);
    } else {
      all_rows<2>(p, o, mask);
    }
  }
}

}  // namespace

const TemporalConvFn temporal_conv_f32_avx512 = run;

}  // namespace bhar

#else

const bhar::TemporalConvFn bhar::temporal_conv_f32_avx512 = nullptr;

#endif
