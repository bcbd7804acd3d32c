// Attention along one axis after the other: what pooled_attention, and its layer in networks, are
// made of.

#include <algorithm>

#include "attention.h"
#include "dispatch.h"

namespace bhar {
namespace {

struct Sizes {
  std::int64_t channels, heads, width, features, outputs;

  explicit Sizes(const PooledAttention& p)
      : channels(p.query_shape[1]),
        heads(p.value_shape[1]),
        width(p.directions_shape[1]),
        features(p.directions_shape[2]),
        outputs(p.value_shape[3]) {}
  std::int64_t inner() const { return heads * width; }
  std::int64_t summaries() const { return kPooledAxes * heads * channels; }
};

void add_to(float* sum, const float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

}  // namespace

void pooled_tokens(const TokenGrid& grid, float* tokens) {
  const std::int64_t c = grid.channels;
  float *joints = tokens + grid.frames * c, *persons = joints + grid.joints * c;
  std::fill_n(tokens, grid.tokens() * c, 0.0f);
  for (std::int64_t t = 0; t < grid.frames; ++t) {
    for (std::int64_t m = 0; m < grid.persons; ++m) {
      const float* row = grid.x + t * grid.frame_stride + m * grid.joints * grid.row_stride;
      for (std::int64_t v = 0; v < grid.joints; ++v, row += grid.row_stride) {
        add_to(tokens + t * c, row, c);
        add_to(joints + v * c, row, c);
        add_to(persons + m * c, row, c);
      }
    }
  }
  const std::int64_t all = grid.frames * grid.joints * grid.persons;
  for (const std::int64_t length : grid.lengths()) {
    const auto count = static_cast<float>(all / length);
    for (std::int64_t i = 0; i < length * c; ++i) tokens[i] /= count;
    tokens += length * c;
  }
}

AxisAttention::AxisAttention(const PooledAttention& attention, Isa isa, std::int64_t most_queries,
                             std::int64_t most_keys, float* scratch)
    : p_(attention), linear_(temporal_conv_kernel(isa)), kernel_(random_features_kernel(isa)) {
  const Sizes s(p_);
  query_ = scratch;
  key_ = query_ + most_queries * s.inner();
  query_features_ = key_ + most_keys * s.inner();
  key_features_ = query_features_ + most_queries * s.features;
  key_sum_ = key_features_ + most_keys * s.features;
  weight_ = key_sum_ + s.features;
  summaries_ = weight_ + s.features;
  zeros_ = summaries_ + s.summaries();
  std::fill_n(zeros_, s.features, 0.0f);
}

std::int64_t AxisAttention::scratch_size(const PooledAttention& attention,
                                         std::int64_t most_queries, std::int64_t most_keys) {
  const Sizes s(attention);
  return (most_queries + most_keys) * (s.inner() + s.features) + s.summaries() + 3 * s.features;
}

std::int64_t AxisAttention::multiply_adds(const PooledAttention& attention, std::int64_t projected,
                                          std::int64_t queries, std::int64_t keys) {
  const Sizes s(attention);
  return projected * s.inner() * s.channels + (queries + keys) * s.inner() * s.features +
         keys * s.heads * (s.features + s.channels);
}

std::int64_t AxisAttention::multiply_adds(const PooledAttention& attention) {
  const Sizes s(attention);
  return s.summaries() * s.outputs;
}

void AxisAttention::project(const float* weight, const float* bias, std::int64_t axis,
                            const float* tokens, std::int64_t count, float* out) const {
  const Sizes s(p_);
  const Linear linear{weight + axis * s.channels * s.inner(), bias + axis * s.inner(), s.channels,
                      s.inner()};
  linear(linear_, {tokens, count, s.channels}, out, s.inner());
}

void AxisAttention::project_queries(std::int64_t axis, const float* tokens, std::int64_t count,
                                    float* out) const {
  project(p_.query, p_.query_bias, axis, tokens, count, out);
}

void AxisAttention::project_keys(std::int64_t axis, const float* tokens, std::int64_t count,
                                 float* out) const {
  project(p_.key, p_.key_bias, axis, tokens, count, out);
}

// Of every head a summary [C]: of the context's tokens, weighed as its mean query weighs them.
void AxisAttention::look(std::int64_t axis, const float* query, std::int64_t queries,
                         const float* key, const float* context, std::int64_t keys) const {
  const Sizes s(p_);
  const float* directions = p_.directions + axis * s.width * s.features;
  const RandomFeatures head{linear_, kernel_, {directions, zeros_, s.width, s.features}};
  float* summary = summaries_ + axis * s.heads * s.channels;
  for (std::int64_t h = 0; h < s.heads; ++h, summary += s.channels) {
    head.keys({key + h * s.width, keys, s.inner()}, key_features_, key_sum_);
    head.queries({query + h * s.width, queries, s.inner()}, key_sum_, query_features_);
    std::fill_n(weight_, s.features, 0.0f);
    for (std::int64_t q = 0; q < queries; ++q) {
      add_to(weight_, query_features_ + q * s.features, s.features);
    }
    std::fill_n(summary, s.channels, 0.0f);
    for (std::int64_t k = 0; k < keys; ++k) {
      const float weight =
          dot(weight_, key_features_ + k * s.features, s.features) / static_cast<float>(queries);
      const float* token = context + k * s.channels;
      for (std::int64_t c = 0; c < s.channels; ++c) summary[c] += weight * token[c];
    }
  }
}

void AxisAttention::attend(std::int64_t axis, const float* tokens, std::int64_t queries,
                           const float* context, std::int64_t keys) const {
  project_queries(axis, tokens, queries, query_);
  project_keys(axis, context, keys, key_);
  look(axis, query_, queries, key_, context, keys);
}

void AxisAttention::outputs(float* out) const {
  const Sizes s(p_);
  const Linear linear{p_.value, p_.bias, s.summaries(), s.outputs};
  linear(linear_, {summaries_, 1, s.summaries()}, out, s.outputs);
}

}  // namespace bhar
