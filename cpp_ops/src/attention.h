// What attention by random features (FAVOR+) is made of, in ops and in layers of networks.
#pragma once

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

// The random features of the tokens of one head.
struct RandomFeatures {
  TemporalConvFn linear;
  RandomFeaturesFn kernel;
  Linear exponents;  // by the directions [D, J]; without a bias: zeros

  // out: [rows, J]; sum: [J], of all of them.
  void keys(const Rows& x, float* out, float* sum) const;
  // out: [rows, J], the weights with which a query adds up what keys have added up before.
  void queries(const Rows& x, const float* key_sum, float* out) const;
};

// `count` floats to mean 0 and variance 1, by which is meant LayerNorm without its weights; out may
// be x.
void normalise(const float* x, std::int64_t count, float* out);

float dot(const float* left, const float* right, std::int64_t count);

// Features [frames, persons, joints, channels] of one sample.
struct TokenGrid {
  const float* x;
  std::int64_t frames, persons, joints, channels, frame_stride, row_stride;

  std::int64_t tokens() const { return frames + joints + persons; }
};

// One sample of pooled_attention, which is checked; and the scratch memory that it takes.
void pooled_attention_sample(const TokenGrid& x, const TokenGrid& context,
                             const PooledAttention& attention, Isa isa, float* scratch, float* out);
std::int64_t pooled_attention_scratch(const TokenGrid& x, const TokenGrid& context,
                                      const PooledAttention& attention);
std::int64_t pooled_attention_multiply_adds(const TokenGrid& x, const TokenGrid& context,
                                            const PooledAttention& attention);

}  // namespace bhar
