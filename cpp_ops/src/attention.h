// What attention by random features (FAVOR+) is made of, in ops and in layers of networks.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "bhar_ops/isa.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/pooled_attention.h"

namespace bhar {

// Tokens: rows of memory, `stride` floats apart.
struct Rows {
  const float* x;
  std::int64_t count, stride;
};

// x [rows, inputs] @ weight [inputs, outputs] + bias [outputs] -> out [rows, outputs], whose rows
// are out_stride apart.
struct Linear {
  const float* weight;
  const float* bias;
  std::int64_t inputs, outputs;

  void operator()(TemporalConvFn kernel, const Rows& x, float* out, std::int64_t out_stride) const;
};

// The random features of the tokens of one head. more_keys: what keys add up to is added to what
// keys of other calls do.
struct RandomFeatures {
  TemporalConvFn linear;
  RandomFeaturesFn kernel;
  Linear exponents;  // by the directions [D, J]; without a bias: zeros
  bool more_keys = false;

  // out: [rows, J]; sum: [J], of all of them.
  void keys(const Rows& x, float* out, float* sum) const;
  // out: [rows, J], the weights with which a query adds up what keys have added up before.
  void queries(const Rows& x, const float* key_sum, float* out) const;
};

// `count` floats to mean 0 and variance 1, by which is meant LayerNorm without its weights; out may
// be x.
void normalize(const float* x, std::int64_t count, float* out);

float dot(const float* left, const float* right, std::int64_t count);

// Features [frames, persons, joints, channels] of one sample.
struct TokenGrid {
  const float* x;
  std::int64_t frames, persons, joints, channels, frame_stride, row_stride;

  std::int64_t tokens() const { return frames + joints + persons; }
  // Tokens of each axis, in the order of the axes.
  std::array<std::int64_t, kPooledAxes> lengths() const { return {frames, joints, persons}; }
  std::int64_t longest() const { return std::max({frames, joints, persons}); }
};

// The tokens of all axes, [T + V + M, C]: means over the other two axes.
void pooled_tokens(const TokenGrid& grid, float* tokens);

// What pooled_attention computes behind its tokens, which are normalized: axis by axis, then
// outputs.
class AxisAttention {
 public:
  // attention outlives this. most_queries, most_keys: tokens of the longest axis. scratch:
  // scratch_size() floats of memory.
  AxisAttention(const PooledAttention& attention, Isa isa, std::int64_t most_queries,
                std::int64_t most_keys, float* scratch);
  static std::int64_t scratch_size(const PooledAttention& attention, std::int64_t most_queries,
                                   std::int64_t most_keys);
  // Of what an axis computes: of tokens projected to queries or keys, of queries, and of keys.
  static std::int64_t multiply_adds(const PooledAttention& attention, std::int64_t projected,
                                    std::int64_t queries, std::int64_t keys);
  // Of outputs().
  static std::int64_t multiply_adds(const PooledAttention& attention);

  // Tokens [count, C] -> their queries or keys in all heads, [count, H * D].
  void project_queries(std::int64_t axis, const float* tokens, std::int64_t count,
                       float* out) const;
  void project_keys(std::int64_t axis, const float* tokens, std::int64_t count, float* out) const;
  // What projected queries see in context tokens [keys, C], whose projections are `key`.
  void look(std::int64_t axis, const float* query, std::int64_t queries, const float* key,
            const float* context, std::int64_t keys) const;
  // Both, of tokens [queries, C] and context [keys, C].
  void attend(std::int64_t axis, const float* tokens, std::int64_t queries, const float* context,
              std::int64_t keys) const;
  // Of what all axes saw.
  void outputs(float* out) const;

 private:
  void project(const float* weight, const float* bias, std::int64_t axis, const float* tokens,
               std::int64_t count, float* out) const;

  const PooledAttention& p_;
  TemporalConvFn linear_;
  RandomFeaturesFn kernel_;
  float *query_, *key_, *query_features_, *key_features_, *key_sum_, *weight_, *summaries_, *zeros_;
};

// One sample of pooled_attention, which is checked; and the scratch memory that it takes.
void pooled_attention_sample(const TokenGrid& x, const TokenGrid& context,
                             const PooledAttention& attention, Isa isa, float* scratch, float* out);
std::int64_t pooled_attention_scratch(const TokenGrid& x, const TokenGrid& context,
                                      const PooledAttention& attention);
std::int64_t pooled_attention_multiply_adds(const TokenGrid& x, const TokenGrid& context,
                                            const PooledAttention& attention);

}  // namespace bhar
