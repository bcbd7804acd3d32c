// Convolutions of floats for AMX: blocks of 2 x 2 tiles, 32 rows x 32 channels, whose sums stay in
// tiles over all of K and I. Channels come first: their weights stay in the first-level cache while
// the rows pass by.

#include "bhar_ops/kernels.h"
#include "tiles_amx.h"

#if defined(BHAR_HAS_TILES)

namespace bhar {
namespace {

constexpr int kSums = 0, kRows = 4, kColumns = 6;  // tiles: 2 x 2, 2, 2
constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kChunk = kTileParts * kTileInputs;       // of a row
constexpr std::int64_t kTileSize = kTileInputs * kTileOutputs;  // of weights

BHAR_TILES_INLINE __mmask16 first(std::int64_t count) {
  if (count >= kLanes) return 0xffff;
  return count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1u);
}

BHAR_TILES void split_rows(const SplitRows& p) {
  for (std::int64_t row = 0; row < p.rows; ++row) {
    const float* x = p.x + row * p.x_stride;
    std::uint16_t* out = p.out + row * p.out_stride;
    for (std::int64_t c = 0; c < p.channels; c += kTileInputs, out += kChunk) {
      const std::int64_t left = p.channels - c;
      const Parts parts =
          left >= kTileInputs
              ? parts_of(_mm512_loadu_ps(x + c), _mm512_loadu_ps(x + c + kLanes))
              : parts_of(_mm512_maskz_loadu_ps(first(left), x + c),
                         _mm512_maskz_loadu_ps(first(left - kLanes), x + c + kLanes));
      _mm512_storeu_si512(out, parts.high);
      _mm512_storeu_si512(out + kTileInputs, parts.middle);
      _mm512_storeu_si512(out + 2 * kTileInputs, parts.low);
    }
  }
}

template <int RowTiles>
BHAR_TILES_INLINE void load_rows(const std::uint16_t* x, std::int64_t stride) {
  load_tile<kRows>(x, stride * 2);
  if constexpr (RowTiles > 1) load_tile<kRows + 1>(x + kTileRows * stride, stride * 2);
}

template <int ColumnTiles>
BHAR_TILES_INLINE void load_columns(const std::uint16_t* first, const std::uint16_t* second) {
  load_tile<kColumns>(first, kTileBytes);
  if constexpr (ColumnTiles > 1) load_tile<kColumns + 1>(second, kTileBytes);
}

template <int RowTiles, int ColumnTiles>
BHAR_TILES_INLINE void multiply() {
  multiply_tiles<kSums, kRows, kColumns>();
  if constexpr (ColumnTiles > 1) multiply_tiles<kSums + 1, kRows, kColumns + 1>();
  if constexpr (RowTiles > 1) multiply_tiles<kSums + 2, kRows + 1, kColumns>();
  if constexpr (RowTiles > 1 && ColumnTiles > 1) {
    multiply_tiles<kSums + 3, kRows + 1, kColumns + 1>();
  }
}

// The six products of parts that a float can hold, the upper bits of the rows loaded twice.
template <int RowTiles, int ColumnTiles>
BHAR_TILES_INLINE void chunk(const std::uint16_t* x, std::int64_t stride,
                             const std::uint16_t* first, const std::uint16_t* second) {
  constexpr std::int64_t kMiddle = kTileSize, kLow = 2 * kTileSize;
  load_rows<RowTiles>(x + 2 * kTileInputs, stride);
  load_columns<ColumnTiles>(first, second);
  multiply<RowTiles, ColumnTiles>();  // low x high
  load_rows<RowTiles>(x + kTileInputs, stride);
  multiply<RowTiles, ColumnTiles>();  // middle x high
  load_columns<ColumnTiles>(first + kMiddle, second + kMiddle);
  multiply<RowTiles, ColumnTiles>();  // middle x middle
  load_rows<RowTiles>(x, stride);
  multiply<RowTiles, ColumnTiles>();  // high x middle
  load_columns<ColumnTiles>(first + kLow, second + kLow);
  multiply<RowTiles, ColumnTiles>();  // high x low
  load_columns<ColumnTiles>(first, second);
  multiply<RowTiles, ColumnTiles>();  // high x high
}

// What is written of sums [RowTiles * 16, ColumnTiles * 16] of rows from `row`, channels from `o`.
template <int ColumnTiles>
BHAR_TILES void finish(const TileConvRows& p, std::int64_t row, std::int64_t o, const float* sums) {
  const __m512 slope = _mm512_set1_ps(p.slope), zero = _mm512_setzero_ps();
  const std::int64_t rows = p.rows - row < kTileRowsAtOnce ? p.rows - row : kTileRowsAtOnce;
  for (int i = 0; i < ColumnTiles; ++i, o += kTileOutputs, sums += kTileOutputs) {
    const __mmask16 lanes = first(p.outputs - o);
    float* out = p.out + row * p.out_stride + o / kChannelBlock * p.out_block;
    const float* other = p.add + row * p.add_stride + o;
    for (std::int64_t r = 0; r < rows; ++r, out += p.out_stride) {
      __m512 sum = _mm512_load_ps(sums + r * ColumnTiles * kTileOutputs);
      if (p.add != nullptr) {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, other + r * p.add_stride));
      }
      const __mmask16 below = _mm512_cmp_ps_mask(sum, zero, _CMP_LT_OQ);
      _mm512_mask_storeu_ps(out, lanes, _mm512_mask_mul_ps(sum, below, sum, slope));
    }
  }
}

// The sums, rows `row` floats apart, columns of tiles `column`.
template <int RowTiles, int ColumnTiles>
BHAR_TILES_INLINE void store(float* to, std::int64_t row, std::int64_t column) {
  const std::int64_t stride = row * static_cast<std::int64_t>(sizeof(float));
  store_tile<kSums>(to, stride);
  if constexpr (ColumnTiles > 1) store_tile<kSums + 1>(to + column, stride);
  if constexpr (RowTiles > 1) store_tile<kSums + 2>(to + kTileRows * row, stride);
  if constexpr (RowTiles > 1 && ColumnTiles > 1) {
    store_tile<kSums + 3>(to + kTileRows * row + column, stride);
  }
}

template <int RowTiles, int ColumnTiles>
BHAR_TILES void block(const TileConvRows& p, std::int64_t row, std::int64_t o) {
  // The same channels in all rows.
  load_tile<kSums>(p.bias + o, 0);
  if constexpr (ColumnTiles > 1) load_tile<kSums + 1>(p.bias + o + kTileOutputs, 0);
  if constexpr (RowTiles > 1) load_tile<kSums + 2>(p.bias + o, 0);
  if constexpr (RowTiles > 1 && ColumnTiles > 1) {
    load_tile<kSums + 3>(p.bias + o + kTileOutputs, 0);
  }
  const std::int64_t column_size = p.k * p.chunks * kTileParts * kTileSize;
  const std::uint16_t* weight = p.weight + o / kTileOutputs * column_size;
  for (std::int64_t k = 0; k < p.k; ++k) {
    const std::uint16_t* x = p.taps[k] + row * p.x_stride;
    for (std::int64_t c = 0; c < p.chunks; ++c, x += kChunk, weight += kTileParts * kTileSize) {
      chunk<RowTiles, ColumnTiles>(x, p.x_stride, weight, weight + column_size);
    }
  }
  if (p.whole) {
    store<RowTiles, ColumnTiles>(p.out + o / kChannelBlock * p.out_block + row * p.out_stride,
                                 p.out_stride, p.out_block);
  } else {
    alignas(64) float sums[kTileRowsAtOnce * ColumnTiles * kTileOutputs];
    store<RowTiles, ColumnTiles>(sums, ColumnTiles * kTileOutputs, kTileOutputs);
    finish<ColumnTiles>(p, row, o, sums);
  }
}

template <int ColumnTiles>
BHAR_TILES void all_rows(const TileConvRows& p, std::int64_t o) {
  std::int64_t row = 0;
  for (; p.rows - row > kTileRows; row += kTileRowsAtOnce) block<2, ColumnTiles>(p, row, o);
  if (row < p.rows) block<1, ColumnTiles>(p, row, o);
}

BHAR_TILES void run(const TileConvRows& p) {
  const WholeTiles tiles;
  std::int64_t o = 0;
  for (; p.outputs - o > kTileOutputs; o += 2 * kTileOutputs) all_rows<2>(p, o);
  if (o < p.outputs) all_rows<1>(p, o);
}

}  // namespace
}  // namespace bhar

const bhar::SplitRowsFn bhar::split_rows_amx = split_rows;
const bhar::TileConvFn bhar::tile_conv_f32_amx = run;

#else

const bhar::SplitRowsFn bhar::split_rows_amx = nullptr;
const bhar::TileConvFn bhar::tile_conv_f32_amx = nullptr;

#endif
