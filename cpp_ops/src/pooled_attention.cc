#include "bhar_ops/pooled_attention.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention.h"
#include "dispatch.h"

namespace bhar {
namespace {

[[noreturn]] void refuse(const char* name, const Shape& got, const std::string& expected) {
  throw std::invalid_argument(std::string("got ") + name + " " + to_string(got) + ", expected " +
                              expected);
}

void expect(const char* name, const Shape& got, const Shape& expected) {
  if (got != expected) refuse(name, got, to_string(expected) + " to fit query, directions, value");
}

bool is_empty(const Shape& shape, std::size_t from) {
  return std::any_of(shape.begin() + static_cast<std::ptrdiff_t>(from), shape.end(),
                     [](std::int64_t length) { return length < 1; });
}

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

// Tokens of each axis, in the order of the axes.
std::array<std::int64_t, kPooledAxes> lengths(const TokenGrid& grid) {
  return {grid.frames, grid.joints, grid.persons};
}

std::int64_t longest(const TokenGrid& grid) {
  const auto all = lengths(grid);
  return *std::max_element(all.begin(), all.end());
}

void add_to(float* sum, const float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

// The tokens of all axes, [T + V + M, C], normalised.
void tokens_of(const TokenGrid& grid, float* tokens) {
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
  float* token = tokens;
  for (const std::int64_t length : lengths(grid)) {
    const auto count = static_cast<float>(all / length);
    for (std::int64_t i = 0; i < length; ++i, token += c) {
      for (std::int64_t j = 0; j < c; ++j) token[j] /= count;
      normalise(token, c, token);
    }
  }
}

// Where the parts of the scratch memory begin: pointers, or numbers to know its size.
template <class Address>
struct Scratch {
  Address tokens, context, query, key, query_features, key_features, key_sum, weight, summaries,
      zeros, end;

  Scratch(const Sizes& s, const TokenGrid& x, const TokenGrid& of, Address begin) {
    tokens = begin;
    context = tokens + x.tokens() * s.channels;
    query = context + of.tokens() * s.channels;
    key = query + longest(x) * s.inner();
    query_features = key + longest(of) * s.inner();
    key_features = query_features + longest(x) * s.features;
    key_sum = key_features + longest(of) * s.features;
    weight = key_sum + s.features;
    summaries = weight + s.features;
    zeros = summaries + s.summaries();
    end = zeros + s.features;
  }
};

// summary [C]: of the context's tokens, weighed as the mean query of a head weighs them.
void summarise(const RandomFeatures& head, const Rows& query, const Rows& key, const Rows& context,
               std::int64_t channels, const Scratch<float*>& m, float* summary) {
  const std::int64_t count = head.exponents.outputs;
  head.keys(key, m.key_features, m.key_sum);
  head.queries(query, m.key_sum, m.query_features);
  std::fill_n(m.weight, count, 0.0f);
  for (std::int64_t q = 0; q < query.count; ++q) {
    add_to(m.weight, m.query_features + q * count, count);
  }
  std::fill_n(summary, channels, 0.0f);
  for (std::int64_t k = 0; k < key.count; ++k) {
    const float weight =
        dot(m.weight, m.key_features + k * count, count) / static_cast<float>(query.count);
    const float* token = context.x + k * context.stride;
    for (std::int64_t c = 0; c < channels; ++c) summary[c] += weight * token[c];
  }
}

// Of this thread.
float* scratch_of(std::int64_t floats) {
  thread_local std::vector<float> memory;
  if (static_cast<std::int64_t>(memory.size()) < floats) {
    memory.resize(static_cast<std::size_t>(floats));
  }
  return memory.data();
}

TokenGrid grid_of(const float* x, const Shape& shape) {
  const std::int64_t channels = shape[4], row = channels, frame = shape[2] * shape[3] * row;
  return {x, shape[1], shape[2], shape[3], channels, frame, row};
}

}  // namespace

void check_pooled_attention(const PooledAttention& p, std::int64_t channels) {
  const Shape &query = p.query_shape, &directions = p.directions_shape, &value = p.value_shape;
  const std::string axes = std::to_string(kPooledAxes), c = std::to_string(channels);
  if (query.size() != 3 || query[0] != kPooledAxes || query[1] != channels || is_empty(query, 2)) {
    refuse("query", query, "[" + axes + ", " + c + ", H * D] to fit x");
  }
  if (directions.size() != 3 || directions[0] != kPooledAxes || is_empty(directions, 1)) {
    refuse("directions", directions, "[" + axes + ", D, J], none of them 0");
  }
  if (value.size() != 4 || value[0] != kPooledAxes || value[2] != channels || is_empty(value, 1)) {
    refuse("value", value, "[" + axes + ", H, " + c + ", O], none of them 0");
  }
  if (query[2] % directions[1] != 0 || query[2] / directions[1] != value[1]) {
    refuse("query", query,
           "heads H of value " + to_string(value) + " times width D of directions " +
               to_string(directions));
  }
  expect("query_bias", p.query_bias_shape, {kPooledAxes, query[2]});
  expect("key", p.key_shape, query);
  expect("key_bias", p.key_bias_shape, p.query_bias_shape);
  expect("bias", p.bias_shape, {value[3]});
}

std::array<std::int64_t, 2> pooled_attention_shape(const Shape& x, const Shape& context,
                                                   const PooledAttention& attention) {
  if (x.size() != 5 || is_empty(x, 1)) refuse("x", x, "[N, T, M, V, C], none but N 0");
  if (context.size() != 5 || is_empty(context, 1) || context[0] != x[0] || context[4] != x[4]) {
    refuse("context", context, "[N, T', M', V', C] with N and C of x " + to_string(x));
  }
  check_pooled_attention(attention, x[4]);
  return {x[0], attention.value_shape[3]};
}

std::int64_t pooled_attention_scratch(const TokenGrid& x, const TokenGrid& context,
                                      const PooledAttention& attention) {
  return Scratch<std::int64_t>(Sizes(attention), x, context, 0).end;
}

std::int64_t pooled_attention_multiply_adds(const TokenGrid& x, const TokenGrid& context,
                                            const PooledAttention& attention) {
  const Sizes s(attention);
  const std::int64_t tokens = x.tokens() + context.tokens();
  const std::int64_t of_token = s.inner() * (s.channels + s.features);
  const std::int64_t of_key = s.heads * (s.features + s.channels);
  return tokens * of_token + context.tokens() * of_key + s.summaries() * s.outputs;
}

void pooled_attention_sample(const TokenGrid& x, const TokenGrid& context, const PooledAttention& p,
                             Isa isa, float* scratch, float* out) {
  const Sizes s(p);
  const Scratch<float*> m(s, x, context, scratch);
  const TemporalConvFn linear = temporal_conv_kernel(isa);
  RandomFeatures head{linear, random_features_kernel(isa), {}};
  tokens_of(x, m.tokens);
  tokens_of(context, m.context);
  std::fill_n(m.zeros, s.features, 0.0f);
  const auto queries = lengths(x), keys = lengths(context);
  Rows query{m.tokens, 0, s.channels}, key{m.context, 0, s.channels};
  float* summary = m.summaries;
  for (std::int64_t axis = 0; axis < kPooledAxes; ++axis) {
    const std::int64_t matrix = axis * s.channels * s.inner(), bias = axis * s.inner();
    query.count = queries[static_cast<std::size_t>(axis)];
    key.count = keys[static_cast<std::size_t>(axis)];
    Linear{p.query + matrix, p.query_bias + bias, s.channels, s.inner()}(linear, query, m.query,
                                                                         s.inner());
    Linear{p.key + matrix, p.key_bias + bias, s.channels, s.inner()}(linear, key, m.key, s.inner());
    head.exponents = {p.directions + axis * s.width * s.features, m.zeros, s.width, s.features};
    for (std::int64_t h = 0; h < s.heads; ++h, summary += s.channels) {
      summarise(head, {m.query + h * s.width, query.count, s.inner()},
                {m.key + h * s.width, key.count, s.inner()}, key, s.channels, m, summary);
    }
    query.x += query.count * s.channels;
    key.x += key.count * s.channels;
  }
  Linear{p.value, p.bias, s.summaries(), s.outputs}(linear, {m.summaries, 1, s.summaries()}, out,
                                                    s.outputs);
}

void pooled_attention(const float* x, const Shape& x_shape, const float* context,
                      const Shape& context_shape, const PooledAttention& attention, float* out,
                      Isa isa) {
  TokenGrid of_x = grid_of(x, x_shape), of_context = grid_of(context, context_shape);
  float* scratch = scratch_of(pooled_attention_scratch(of_x, of_context, attention));
  for (std::int64_t n = 0; n < x_shape[0]; ++n) {
    pooled_attention_sample(of_x, of_context, attention, isa, scratch, out);
    of_x.x += of_x.frames * of_x.frame_stride;
    of_context.x += of_context.frames * of_context.frame_stride;
    out += attention.value_shape[3];
  }
}

}  // namespace bhar
