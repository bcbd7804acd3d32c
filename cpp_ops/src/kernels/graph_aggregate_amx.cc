// AMX: 16 rows x 32 columns in two tiles of sums. K and V are cut into chunks of up to 16 joints;
// two chunks make a step, the even one and the odd one of each pair that tiles multiply. While they
// do, the rows of the next step are split into parts. What is few, or does not fill the steps, is
// left to AVX-512.

#include "bhar_ops/kernels.h"
#include "tiles_amx.h"

#if defined(BHAR_HAS_TILES)

namespace bhar {
namespace {

// With fewer rows, laying out the matrices costs more than tiles save.
constexpr std::int64_t kLeastRows = 96;
constexpr std::int64_t kMostSteps = 8, kBlockColumns = 2 * kTileRows;

// Asked for while the sums before are made, as in the kernel for AVX-512: so many bytes ahead.
constexpr std::int64_t kAhead = 2048;

BHAR_TILES_INLINE void ask_for(const float* at) {
  __builtin_prefetch(reinterpret_cast<const char*>(at) + kAhead);
}

BHAR_TILES_INLINE __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>(count < kTileRows ? (1u << count) - 1u : 0xffffu);
}

// The rows of a tile, in three parts.
struct TileParts {
  __m512i high[kTileRows], middle[kTileRows], low[kTileRows];
};

BHAR_TILES_INLINE void put(TileParts& to, std::int64_t row, __m512 even, __m512 odd) {
  const Parts parts = parts_of(even, odd);
  to.high[row] = parts.high;
  to.middle[row] = parts.middle;
  to.low[row] = parts.low;
}

// Joints of one partition: where they begin in x and in a, and how many.
struct Chunk {
  std::int64_t x, a, joints;
};

struct Chunks {
  std::int64_t steps;
  Chunk in_order[2 * kMostSteps];

  const Chunk& even(std::int64_t step) const { return in_order[2 * step]; }
  const Chunk& odd(std::int64_t step) const { return in_order[2 * step + 1]; }
};

std::int64_t chunks_of_a_partition(const GraphAggregateProblem& p) {
  return (p.v + kTileRows - 1) / kTileRows;
}

std::int64_t steps_of(const GraphAggregateProblem& p) {
  return (p.k * chunks_of_a_partition(p) + 1) / 2;
}

// At most kMostSteps. The last may have no odd chunk: one of no joints.
Chunks chunks_of(const GraphAggregateProblem& p) {
  Chunks chunks{};
  chunks.steps = steps_of(p);
  const std::int64_t of_one = chunks_of_a_partition(p);
  for (std::int64_t i = 0; i < p.k * of_one; ++i) {
    const std::int64_t k = i / of_one, v = i % of_one * kTileRows;
    const std::int64_t joints = p.v - v < kTileRows ? p.v - v : kTileRows;
    chunks.in_order[i] = {k * p.x_k_stride + v, k * p.a_k_stride + v * p.w, joints};
  }
  return chunks;
}

// The matrices of a group for up to kBlockColumns columns.
struct Adjacency {
  TileParts tiles[kMostSteps][2];
};

BHAR_TILES void lay_out(const GraphAggregateProblem& p, const Chunks& chunks, const float* a,
                        std::int64_t columns, Adjacency& to) {
  for (std::int64_t tile = 0; tile * kTileRows < columns; ++tile) {
    const __mmask16 here = first_lanes(columns - tile * kTileRows);
    for (std::int64_t s = 0; s < chunks.steps; ++s) {
      const Chunk &even = chunks.even(s), &odd = chunks.odd(s);
      const float* from = a + tile * kTileRows;
      for (std::int64_t v = 0; v < kTileRows; ++v, from += p.w) {
        const __mmask16 of_even = v < even.joints ? here : 0, of_odd = v < odd.joints ? here : 0;
        put(to.tiles[s][tile], v, _mm512_maskz_loadu_ps(of_even, from + even.a),
            _mm512_maskz_loadu_ps(of_odd, from + odd.a));
      }
    }
  }
}

// Rows of a group, and up to kBlockColumns of its columns.
struct Block {
  const GraphAggregateProblem& p;
  const Chunks& chunks;
  const Adjacency& adjacency;
  const float *x, *a;
  float* out;
  std::int64_t w, columns;
};

// Up to 16 rows on their way to the parts that a step multiplies; none where there are no more.
class Splitter {
 public:
  BHAR_TILES_INLINE Splitter(const Block& block, std::int64_t row, std::int64_t step, TileParts& to)
      : of_even_(first_lanes(block.chunks.even(step).joints)),
        of_odd_(first_lanes(block.chunks.odd(step).joints)),
        even_(block.x + row * block.p.v + block.chunks.even(step).x),
        odd_(block.x + row * block.p.v + block.chunks.odd(step).x),
        stride_(block.p.v),
        rows_(block.p.rows - row),
        to_(to) {}

  BHAR_TILES_INLINE void split(std::int64_t first, std::int64_t end) {
    if (end > rows_) end = rows_;
    for (std::int64_t r = first; r < end; ++r, even_ += stride_, odd_ += stride_) {
      ask_for(even_);
      ask_for(odd_);
      put(to_, r, _mm512_maskz_loadu_ps(of_even_, even_), _mm512_maskz_loadu_ps(of_odd_, odd_));
    }
  }

 private:
  const __mmask16 of_even_, of_odd_;
  const float *even_, *odd_;
  const std::int64_t stride_, rows_;
  TileParts& to_;
};

// Tiles 0 and 1 are sums of 16 columns each, 2 to 4 the parts of rows, 5 to 7 those of columns.
BHAR_TILES_INLINE void load_rows(const TileParts& x) {
  load_tile<2>(x.high, kTileBytes);
  load_tile<3>(x.middle, kTileBytes);
  load_tile<4>(x.low, kTileBytes);
}

BHAR_TILES_INLINE void load_columns(const TileParts& a) {
  load_tile<5>(a.high, kTileBytes);
  load_tile<6>(a.middle, kTileBytes);
  load_tile<7>(a.low, kTileBytes);
}

// The least products first.
template <int Sums>
BHAR_TILES_INLINE void add_products() {
  multiply_tiles<Sums, 2, 7>();
  multiply_tiles<Sums, 3, 6>();
  multiply_tiles<Sums, 4, 5>();
  multiply_tiles<Sums, 2, 6>();
  multiply_tiles<Sums, 3, 5>();
  multiply_tiles<Sums, 2, 5>();
}

template <int Tiles>
BHAR_TILES_INLINE void add_step(const TileParts& x, const TileParts (&a)[2], Splitter next) {
  load_rows(x);
  load_columns(a[0]);
  add_products<0>();
  next.split(0, kTileRows / Tiles);
  if constexpr (Tiles == 2) {
    load_columns(a[1]);
    add_products<1>();
    next.split(kTileRows / 2, kTileRows);
  }
}

// Sums on their way from tiles to the rows of the result.
template <int Tiles>
struct Sums {
  static constexpr std::int64_t kLast = (Tiles - 1) * kTileRows;
  alignas(64) float values[kTileRows][Tiles * kTileRows];

  BHAR_TILES_INLINE void take() {
    store_tile<0>(&values[0][0], sizeof values[0]);
    if constexpr (Tiles == 2) store_tile<1>(&values[0][kLast], sizeof values[0]);
  }

  // False where one may be NaN.
  BHAR_TILES_INLINE bool put(float* out, std::int64_t stride, std::int64_t rows,
                             std::int64_t columns) const {
    const __mmask16 in_last = first_lanes(columns - kLast);
    __m512 all = _mm512_setzero_ps(), all_last = all;
    for (std::int64_t r = 0; r < rows; ++r, out += stride) {
      if constexpr (Tiles == 2) {
        const __m512 whole = _mm512_load_ps(&values[r][0]);
        ask_for(out);
        _mm512_storeu_ps(out, whole);
        all = _mm512_add_ps(all, whole);
      }
      const __m512 last = _mm512_load_ps(&values[r][kLast]);
      ask_for(out + kLast);
      _mm512_mask_storeu_ps(out + kLast, in_last, last);
      all_last = _mm512_add_ps(all_last, last);
    }
    all = _mm512_add_ps(all, all_last);
    return _mm512_cmp_ps_mask(all, all, _CMP_UNORD_Q) == 0;
  }
};

// Tiles make NaN of infinity: such rows are computed again, without them.
template <int Tiles>
BHAR_TILES_INLINE void finish_rows(const Block& block, const Sums<Tiles>& sums, std::int64_t row) {
  const std::int64_t left = block.p.rows - row, rows = left < kTileRows ? left : kTileRows;
  float* out = block.out + row * block.p.w;
  if (sums.put(out + block.w, block.p.w, rows, block.columns)) return;
  GraphAggregateProblem few = block.p;
  few.x = block.x + row * block.p.v;
  few.a = block.a;
  few.out = out;
  few.outer = few.inner = 1;
  few.rows = rows;
  graph_aggregate_f32_avx512(few);
}

template <int Tiles>
BHAR_TILES void compute(const Block& block) {
  TileParts buffers[2];
  Sums<Tiles> sums;
  Splitter(block, 0, 0, buffers[0]).split(0, kTileRows);
  std::int64_t row = 0, full = 0;
  for (; row < block.p.rows; row += kTileRows) {
    zero_tile<0>();
    zero_tile<1>();
    for (std::int64_t s = 0; s < block.chunks.steps; ++s, full = 1 - full) {
      const bool more = s + 1 < block.chunks.steps;
      const Splitter next(block, more ? row : row + kTileRows, more ? s + 1 : 0, buffers[1 - full]);
      add_step<Tiles>(buffers[full], block.adjacency.tiles[s], next);
    }
    // Those of the rows before: they have left the tiles by now, nothing waits for them.
    if (row > 0) finish_rows<Tiles>(block, sums, row - kTileRows);
    sums.take();
  }
  finish_rows<Tiles>(block, sums, row - kTileRows);
}

BHAR_TILES void run_in_tiles(const GraphAggregateProblem& p) {
  const WholeTiles tiles;
  const Chunks chunks = chunks_of(p);
  Adjacency adjacency;
  const float* laid_out = nullptr;
  for (std::int64_t g = 0; g < p.outer * p.inner; ++g) {
    const std::int64_t n = g / p.inner, c = g % p.inner;
    const float* x = p.x + n * p.x_outer_stride + c * p.x_inner_stride;
    const float* a = p.a + n * p.a_outer_stride + c * p.a_inner_stride;
    for (std::int64_t w = 0; w < p.w; w += kBlockColumns) {
      const std::int64_t columns = p.w - w < kBlockColumns ? p.w - w : kBlockColumns;
      if (laid_out != a + w) lay_out(p, chunks, a + w, columns, adjacency);
      laid_out = a + w;
      const Block block{p, chunks, adjacency, x, a, p.out + g * p.rows * p.w, w, columns};
      if (columns > kTileRows) {
        compute<2>(block);
      } else {
        compute<1>(block);
      }
    }
  }
}

// A step takes as long as half its joints do without tiles.
void run(const GraphAggregateProblem& p) {
  const std::int64_t steps = steps_of(p);
  if (p.rows >= kLeastRows && steps > 0 && steps <= kMostSteps && p.k * p.v >= steps * kTileRows) {
    run_in_tiles(p);
  } else {
    graph_aggregate_f32_avx512(p);
  }
}

}  // namespace

const GraphAggregateFn graph_aggregate_f32_amx = run;

}  // namespace bhar

#else

const bhar::GraphAggregateFn bhar::graph_aggregate_f32_amx = nullptr;

#endif
