// AMX: tiles of 16 rows of 64 bytes, and floats as tiles multiply them.
//
// A float is the exact sum of three bfloat16 of eight bits each: `high + middle + low`. Of the nine
// products of two floats six are summed; the other three are less than one rounding of a float. So
// sums are as good as those of floats, and of twice as many products in the same time. What is not
// finite becomes NaN. Parts and products below 2^-126 count as zero: floats below 2^-110 lose bits.
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

// Not the intrinsics: those of GCC want literals for the tiles, and do not say what memory they
// read.
template <int Tile>
BHAR_TILES_INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(Tile));
}
// Rows `stride` bytes apart.
template <int Tile>
BHAR_TILES_INLINE void load_tile(const void* from, std::int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(Tile) : "memory");
}
template <int Tile>
BHAR_TILES_INLINE void store_tile(void* to, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(Tile) : "memory");
}
// Sums += rows of bfloat16 x columns in pairs.
template <int Sums, int Rows, int Columns>
BHAR_TILES_INLINE void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(Rows), "i"(Columns));
}

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
  BHAR_TILES ~WholeTiles() { asm volatile("tilerelease"); }
  WholeTiles(const WholeTiles&) = delete;
  WholeTiles& operator=(const WholeTiles&) = delete;
};

BHAR_TILES_INLINE __m512 upper_bits(__m512 values) {
  const __m512i mask = _mm512_set1_epi32(-65536);
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(values), mask));
}

// The upper halves of `even` below those of `odd`.
// With a mask: the form without one warns of an uninitialized value in GCC 12.
BHAR_TILES_INLINE __m512i pairs(__m512 even, __m512 odd) {
  const __m512i down = _mm512_maskz_broadcast_i32x4(
      0xffff, _mm_set_epi8(0, 0, 15, 14, 0, 0, 11, 10, 0, 0, 7, 6, 0, 0, 3, 2));
  return _mm512_mask_shuffle_epi8(_mm512_castps_si512(odd), 0x3333333333333333,
                                  _mm512_castps_si512(even), down);
}

// The three parts of 2 x 16 floats, in pairs as tiles multiply them: one of `even`, one of `odd`.
struct Parts {
  __m512i high, middle, low;
};

BHAR_TILES_INLINE Parts parts_of(__m512 even, __m512 odd) {
  const __m512 even_rest = _mm512_sub_ps(even, upper_bits(even));
  const __m512 odd_rest = _mm512_sub_ps(odd, upper_bits(odd));
  return {pairs(even, odd), pairs(even_rest, odd_rest),
          pairs(_mm512_sub_ps(even_rest, upper_bits(even_rest)),
                _mm512_sub_ps(odd_rest, upper_bits(odd_rest)))};
}

}  // namespace
}  // namespace bhar

#endif
