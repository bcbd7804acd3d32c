// Kernel entry points: everything that a kernel file may know besides its intrinsics.
//
// An entry is a null pointer where the kernel cannot be compiled for the target architecture.
// Whether the CPU can run it is asked once, in isa.cc.
#pragma once

#include <cstdint>

namespace bhar {

// out[g, r, w] = sum_k sum_v x[g, k, r, v] * a[g, k, v, w]: groups that share one A, rows in each.
// All arrays are dense float32; strides are in elements and may be zero (A shared by all groups).
struct GraphAggregateProblem {
  const float* x;
  const float* a;
  float* out;
  std::int64_t outer;  // N
  std::int64_t inner;  // 1 (static A) or C (channel-wise A); a group is one (outer, inner) pair
  std::int64_t k;      // partitions
  std::int64_t rows;   // C * T (static A) or T (channel-wise A)
  std::int64_t v;      // joints in
  std::int64_t w;      // joints out
  std::int64_t x_outer_stride, x_inner_stride, x_k_stride;
  std::int64_t a_outer_stride, a_inner_stride, a_k_stride;
};

// Bound, for every instruction set and finite results without underflow:
//   |out - exact| <= K * V * eps * sum_k sum_v |x| |a|,  eps = 2^-23, K * V <= 2^22
// (at most K * V roundings of eps / 2 each meet any one product; Higham 2002, section 3.1).
// NaN and infinity propagate as in IEEE arithmetic: no product is skipped, not even with zero.
using GraphAggregateFn = void (*)(const GraphAggregateProblem&);

extern const GraphAggregateFn graph_aggregate_f32_scalar;
extern const GraphAggregateFn graph_aggregate_f32_avx2;
extern const GraphAggregateFn graph_aggregate_f32_avx512;
extern const GraphAggregateFn graph_aggregate_f32_amx;
extern const GraphAggregateFn graph_aggregate_f32_neon;

// Features whose channels are read a vector at a time may keep blocks of so many channels together:
// a cache line, and a multiple of every vector.
constexpr std::int64_t kChannelBlock = 16;

// One frame of a temporal convolution, joints as rows and channels innermost:
//   sum[r, o] = bias[o] + add[r, o] + sum_k sum_i taps[k][r, i] * weight[k, i, o]
//   out[r, o] = sum < 0 ? slope * sum : sum
// Where the tapped frames lie is the caller's business: in a clip, or in a ring buffer. Rows may be
// parts of longer ones: a row begins a stride, in floats, after the one before it. Of the result,
// every kChannelBlock channels begin a stride of their own as well.
struct TemporalConvFrame {
  const float* const* taps;  // K frames [rows, inputs]
  const float* weight;       // [K, inputs, outputs], dense
  const float* bias;         // [outputs]
  const float* add;          // [rows, outputs], or null: nothing; may be out itself
  float* out;                // [rows, outputs]
  std::int64_t k, rows, inputs, outputs;
  std::int64_t x_stride, add_stride, out_stride;
  std::int64_t out_block;  // kChannelBlock where channels are dense
  float slope;             // 0 <= slope <= 1
};

// Bound, as above:
//   |out - exact| <= (K * I + 3) * eps * (|bias| + |add| + sum_k sum_i |taps| |weight|)
using TemporalConvFn = void (*)(const TemporalConvFrame&);

extern const TemporalConvFn temporal_conv_f32_scalar;
extern const TemporalConvFn temporal_conv_f32_avx2;
extern const TemporalConvFn temporal_conv_f32_avx512;
extern const TemporalConvFn temporal_conv_f32_neon;

// The same convolution in tiles, of floats that are each the sum of three of eight bits: of every
// kTileInputs channels of a row first the upper bits of all, then the middle, then the lower ones,
// in pairs of channels i and i + kTileInputs / 2.
constexpr std::int64_t kTileInputs = 32, kTileOutputs = 16, kTileParts = 3;
// Rows come so many at a time: as many have to be readable, whatever is in those beyond the last.
constexpr std::int64_t kTileRowsAtOnce = 32;

struct SplitRows {
  const float* x;      // [rows, channels]
  std::uint16_t* out;  // [rows, channels / kTileInputs, kTileParts, kTileInputs], padded with zeros
  std::int64_t rows, channels, x_stride, out_stride;
};

// Rows of several frames in one go:
//   sum[r, o] = bias[o] + add[r, o] + sum_k sum_i taps[k][r, i] * weight[k, i, o]
//   out[r, o] = sum < 0 ? slope * sum : sum
struct TileConvRows {
  const std::uint16_t* const* taps;  // K times rows in parts, x_stride apart
  // [O / kTileOutputs, K, I / kTileInputs, kTileParts, kTileInputs / 2, kTileOutputs, 2], padded,
  // in the same pairs
  const std::uint16_t* weight;
  const float* bias;  // [O], padded
  const float* add;   // or null: nothing; may be out itself
  float* out;
  std::int64_t k, rows, chunks, outputs;  // chunks: of kTileInputs
  std::int64_t x_stride, add_stride, out_stride;
  std::int64_t out_block;  // as that of TemporalConvFrame
  float slope;             // 0 <= slope <= 1
  // Whether rows, nothing added and slope 1, are written up to the next multiple of
  // kTileRowsAtOnce: where out has them, this is faster.
  bool whole;
};

using SplitRowsFn = void (*)(const SplitRows&);
// Bound, as that of a TemporalConvFn, with K * I + 5. What is not finite becomes NaN.
using TileConvFn = void (*)(const TileConvRows&);

// Null pointers where there are no tiles.
extern const SplitRowsFn split_rows_amx;
extern const TileConvFn tile_conv_f32_amx;

// One frame of pooling over time, or of frames weighed, joints as rows and channels innermost:
//   pooled[r, c] = max_i frames[i][r, c], or sum_i weights[i] * frames[i][r, c]
//   sum[r, c] = pooled[r, c] * scale[c] + shift[c] + add[r, c]
//   out[r, c] = sum < 0 ? slope * sum : sum
// Rows may be parts of longer ones, as those of a temporal convolution. NaN is the greatest of all.
struct TemporalPoolFrame {
  const float* const* frames;  // [rows, channels] each, at least one
  const float* weights;        // of the frames, or null: the greatest of them
  const float* scale;          // [channels], or null: one
  const float* shift;          // [channels], or null: zero
  const float* add;            // [rows, channels], or null: zero
  float* out;                  // [rows, channels]
  std::int64_t count, rows, channels;
  std::int64_t x_stride, add_stride, out_stride;
  float slope;  // 0 <= slope <= 1
};

// Bound, as above, where weights of the greatest are one:
//   |out - exact| <= (count + 3) * eps * (sum_i |weights frames scale| + |shift| + |add|)
using TemporalPoolFn = void (*)(const TemporalPoolFrame&);

extern const TemporalPoolFn temporal_pool_f32_scalar;
extern const TemporalPoolFn temporal_pool_f32_avx2;
extern const TemporalPoolFn temporal_pool_f32_avx512;
extern const TemporalPoolFn temporal_pool_f32_neon;

// The same convolution of bytes, exact in integers:
//   sum[r, o] = sum_k sum_i taps[k][r, i] * weight[k, i, o]
//   out[r, o] = leaky(fma(sum[r, o], scale[o], bias[o]) + add[r, o])
// Inputs come four at a time: weights are packed to [K, I / 4, O, 4], O padded with zeros to a
// multiple of kChannelBlock, as are scale, bias and totals. They lie within -kMostInteger and
// kMostInteger, so that two products fit 16 bits on every CPU.
struct IntegerConvFrame {
  const std::uint8_t* const* taps;  // K frames [rows, inputs]
  const std::int8_t* weight;
  const std::int32_t* totals;  // [O] sum_k sum_i weight[k, i, o]
  const float* scale;          // [O]
  const float* bias;           // [O]
  const float* add;            // [rows, outputs], or null: nothing; may be out itself
  float* out;                  // [rows, outputs]
  std::int64_t k, rows, inputs, outputs;
  std::int64_t x_stride;  // in bytes; the others in floats, as above
  std::int64_t add_stride, out_stride, out_block;
  float slope;  // 0 <= slope <= 1
};

constexpr std::int64_t kMostInteger = 63, kInputsAtOnce = 4;

// The same on every instruction set, to the last bit, while |sum| < 2^31: K * I <= 2^17.
using IntegerConvFn = void (*)(const IntegerConvFrame&);

// What floats are in bytes: round(fma(x, per_step, zero)), halves to even, 0 to 255, and 0 for NaN.
struct QuantizeRow {
  const float* x;
  std::uint8_t* out;
  std::int64_t count;
  float per_step;  // 1 / step
  float zero;      // a whole number, 0 to 255
};

// The same on every instruction set, to the last bit.
using QuantizeFn = void (*)(const QuantizeRow&);

// Of each: null where it cannot be compiled. name: of the instructions, as people know them.
struct IntegerKernels {
  const char* name;
  IntegerConvFn conv;
  QuantizeFn quantize;
};

extern const IntegerKernels integer_scalar;
extern const IntegerKernels integer_avx2;
extern const IntegerKernels integer_avx512vnni;
extern const IntegerKernels integer_neon;
extern const IntegerKernels integer_neon_dotprod;

// One sample of an aggregation over adjacencies that differ from channel to channel, channels
// innermost. They are never stored for all channels: those of a vector are made where it is used.
//   adjacency[k, w, v, c] = a[k, w, v] + shift[k, c]
//                           + sum_r weight[k, r, c] * relation[k, c / (C / G), w, v, r]
//   sum[t, w, c] = bias[c] + add[t, w, c] + sum_k sum_v value[k, t, v, c] * adjacency[k, w, v, c]
//   out[t, w, c] = sum < 0 ? slope * sum : sum
struct RefinedAggregateSample {
  const float* value;     // [K, T, V, C] in the strides below
  const float* relation;  // [K, G, W, V, R], [W, V, R] dense
  const float* weight;    // [K, R, C]
  const float* shift;     // [K, C], or null: zero
  const float* a;         // [K, W, V]
  const float* bias;      // [C], or null: zero
  const float* add;       // [T, W, C] in the strides below, or null: zero
  float* out;             // [T, W, C] in the strides below; not add
  float* scratch;         // kRefinedAggregateScratch floats that no other thread uses
  std::int64_t k, t, v, w, c;
  std::int64_t groups;  // G, divides C
  std::int64_t r;
  std::int64_t value_k, value_t, value_v;
  std::int64_t relation_k, relation_group;
  std::int64_t weight_r;  // between rows of weight, and of shift: C, or more
  std::int64_t add_t, add_w, out_t, out_w;
  float slope;  // 0 <= slope <= 1
};

constexpr std::int64_t kRefinedAggregateScratch = 1 << 16;

// Bound, as above, where |adjacency| is made of the absolute values of its parts:
//   |out - exact| <= (K * V + R + 5) * eps * (|bias| + |add| + sum_k sum_v |value| |adjacency|)
using RefinedAggregateFn = void (*)(const RefinedAggregateSample&);

extern const RefinedAggregateFn refined_aggregate_f32_scalar;
extern const RefinedAggregateFn refined_aggregate_f32_avx2;
extern const RefinedAggregateFn refined_aggregate_f32_avx512;
extern const RefinedAggregateFn refined_aggregate_f32_neon;

// One sample of the relations between joints that refined_aggregate reads:
//   out[m, w, v, r] = tanh(to[w, m, r] - from[v, m, r])
struct PairwiseTanhSample {
  const float* to;    // [W, M, R]
  const float* from;  // [V, M, R]
  float* out;         // [M, W, V, R]
  std::int64_t w, v, maps, r;
};

constexpr std::int64_t kMaxRelations = 256;

// tanh(x) = x P(x^2) / Q(x^2), highest powers first: fitted for the least relative error up to 9,
// which is 2.1e-8.
constexpr float kTanhAbove[] = {1.3354537919951781e-08f, 2.0608995328075252e-05f,
                                3.4955828450620174e-03f, 1.3381020724773407e-01f, 1.0f};
constexpr float kTanhBelow[] = {7.776508255119552e-07f, 3.285626298747957e-04f,
                                2.5876961648464203e-02f, 4.671433568000793e-01f, 1.0f};

// Bound: |out - exact| <= 4 * eps * |exact|, without underflow.
using PairwiseTanhFn = void (*)(const PairwiseTanhSample&);

extern const PairwiseTanhFn pairwise_tanh_f32_scalar;
extern const PairwiseTanhFn pairwise_tanh_f32_avx2;
extern const PairwiseTanhFn pairwise_tanh_f32_avx512;
extern const PairwiseTanhFn pairwise_tanh_f32_neon;

// Positive random features of the tokens of one head, in the place of their exponents (FAVOR+,
// Choromanski et al. 2021, eq. 5 and 7; the factor of all features is left out, since it cancels):
//   feature[r, j] = exp(out[r, j] - |x[r]|^2 / 2 - largest) + kFeatureFloor
// Of keys, `largest` is the greatest exponent of all rows, or 0 where more keys are to come: it has
// to be the same for all. Of queries it is that of the row, and their features become the weights
// of sums over the keys:
//   out[r, j] = feature[r, j] / sum_i feature[r, i] * normalizer[i]
struct RandomFeatureRows {
  const float* x;           // [rows, width], rows x_stride apart
  const float* normalizer;  // [features], the sum of the keys: of queries; null: of keys
  float* out;               // [rows, features]: the exponents x . direction, then what they become
  std::int64_t rows, width, features, x_stride;
  bool more_keys;  // are to come
};

// So that no query divides by nothing.
constexpr float kFeatureFloor = 1e-6f;

// Bound, relative to the feature, D being the width, of features up to exp(88):
//   (D + 8) * eps * (1 + |exponent| + |x|^2 / 2 + |largest|)
// and of a query's weight the sum of twice the greatest of its row and (features + 2) * eps.
using RandomFeaturesFn = void (*)(const RandomFeatureRows&);

extern const RandomFeaturesFn random_features_f32_scalar;
extern const RandomFeaturesFn random_features_f32_avx2;
extern const RandomFeaturesFn random_features_f32_avx512;
extern const RandomFeaturesFn random_features_f32_neon;

// out[i] = x[i] * (1 + erf(x[i] / sqrt(2))) / 2; out may be x. Infinity gives NaN.
// Bound: |out - exact| <= 4 * eps * |x|.
using GeluFn = void (*)(const float* x, float* out, std::int64_t count);

extern const GeluFn gelu_f32_scalar;
extern const GeluFn gelu_f32_avx2;
extern const GeluFn gelu_f32_avx512;
extern const GeluFn gelu_f32_neon;

}  // namespace bhar
