#include "bhar_ops/pooled_attention.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention.h"

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

void normalized_tokens(const TokenGrid& grid, float* tokens) {
  pooled_tokens(grid, tokens);
  for (std::int64_t i = 0; i < grid.tokens(); ++i, tokens += grid.channels) {
    normalize(tokens, grid.channels, tokens);
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
  return (x.tokens() + context.tokens()) * x.channels +
         AxisAttention::scratch_size(attention, x.longest(), context.longest());
}

std::int64_t pooled_attention_multiply_adds(const TokenGrid& x, const TokenGrid& context,
                                            const PooledAttention& attention) {
  const std::int64_t queries = x.tokens(), keys = context.tokens();
  return AxisAttention::multiply_adds(attention, queries + keys, queries, keys) +
         AxisAttention::multiply_adds(attention);
}

void pooled_attention_sample(const TokenGrid& x, const TokenGrid& context, const PooledAttention& p,
                             Isa isa, float* scratch, float* out) {
  float *token = scratch, *seen = token + x.tokens() * x.channels;
  const AxisAttention axes(p, isa, x.longest(), context.longest(),
                           seen + context.tokens() * x.channels);
  normalized_tokens(x, token);
  normalized_tokens(context, seen);
  const auto queries = x.lengths(), keys = context.lengths();
  for (std::int64_t axis = 0; axis < kPooledAxes; ++axis) {
    const std::int64_t q = queries[static_cast<std::size_t>(axis)];
    const std::int64_t k = keys[static_cast<std::size_t>(axis)];
    axes.attend(axis, token, q, seen, k);
    token += q * x.channels;
    seen += k * x.channels;
  }
  axes.outputs(out);
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
