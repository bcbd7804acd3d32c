// AMX: tiles of 16 rows of 64 bytes, and floats as tiles multiply them.
//
// A float is the exact sum of three bfloat16 of eight bits each: `high + middle + low`. Of the nine
// products of two floats six are summed; the other three are less than one rounding of a float. So
// sums are as good as those of floats, and of twice as many products in the same time. What is not
// finite becomes NaN. Parts and products below 2^-126 count as zero: floats below 2^-110 lose bits.
//
// GCC takes the intrinsics to read no memory: what is written for them needs a fence().
#pragma once

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define BHAR_HAS_TILES 1

#include <immintrin.h>

#include "bhar_ops/kernels.h"

#define BHAR_TILES __attribute__((target("amx-tile,amx-bf16,amx-int8,avx512bw,avx512vnni")))
#define BHAR_TILES_INLINE BHAR_TILES __attribute__((always_inline)) inline

namespace bhar {
namespace {

constexpr std::int64_t kTileRows = 16, kTileBytes = 64;

struct alignas(64) TileShapes {
  std::uint8_t palette = 1, first_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

BHAR_TILES_INLINE void fence() { asm volatile("" ::: "memory"); }

// While it lives, this thread's eight tiles are whole ones.
class WholeTiles {
 public:
  BHAR_TILES WholeTiles() {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) {
      shapes.rows[tile] = kTileRows;
      shapes.row_bytes[tile] = kTileBytes;
    }
    asm volatile("ldtilecfg %0" ::"m"(shapes));
  }
  BHAR_TILES ~WholeTiles() { _tile_release(); }
  WholeTiles(const WholeTiles&) = delete;
  WholeTiles& operator=(const WholeTiles&) = delete;
};

// 32 floats, and the three parts of each.
struct Parts {
  __m512i high, middle, low;
};

BHAR_TILES_INLINE __m512 upper_bits(__m512 values) {
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(values), mask));
}

// The upper halves of 32 floats, in their order.
BHAR_TILES_INLINE __m512i upper_halves(__m512 first, __m512 second) {
  const __m512i odd = _mm512_add_epi16(
      _mm512_set1_epi16(1),
      _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                       24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0));
  return _mm512_permutex2var_epi16(_mm512_castps_si512(first), odd, _mm512_castps_si512(second));
}

BHAR_TILES_INLINE Parts parts_of(__m512 first, __m512 second) {
  const __m512 first_rest = _mm512_sub_ps(first, upper_bits(first));
  const __m512 second_rest = _mm512_sub_ps(second, upper_bits(second));
  return {upper_halves(first, second), upper_halves(first_rest, second_rest),
          upper_halves(_mm512_sub_ps(first_rest, upper_bits(first_rest)),
                       _mm512_sub_ps(second_rest, upper_bits(second_rest)))};
}

// The upper halves of `even` below those of `odd`.
BHAR_TILES_INLINE __m512i pairs(__m512 even, __m512 odd) {
  const __m512i down = _mm512_set4_epi32(0x0f0e, 0x0b0a, 0x0706, 0x0302);
  return _mm512_mask_shuffle_epi8(_mm512_castps_si512(odd), 0x3333333333333333,
                                  _mm512_castps_si512(even), down);
}

// The same parts in pairs: one of `even`, one of `odd`. That is what tiles multiply, and costs less
// than their order.
BHAR_TILES_INLINE Parts paired_parts_of(__m512 even, __m512 odd) {
  const __m512 even_rest = _mm512_sub_ps(even, upper_bits(even));
  const __m512 odd_rest = _mm512_sub_ps(odd, upper_bits(odd));
  return {pairs(even, odd), pairs(even_rest, odd_rest),
          pairs(_mm512_sub_ps(even_rest, upper_bits(even_rest)),
                _mm512_sub_ps(odd_rest, upper_bits(odd_rest)))};
}

}  // namespace
}  // namespace bhar

#endif
