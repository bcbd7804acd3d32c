#include "bhar_ops/pooled_attention.h"

#include <array>
#include <cmath>

#include "check.h"

namespace {

using Rows = std::vector<std::vector<double>>;

struct Sizes {
  std::array<std::int64_t, 3> x, context;  // T, M, V
  std::int64_t n, c, heads, width, features, outputs;
};

constexpr Sizes kCases[] = {
    {{6, 1, 25}, {6, 2, 21}, 2, 32, 4, 8, 37, 15}, {{1, 1, 1}, {1, 1, 1}, 1, 1, 1, 1, 1, 1},
    {{3, 2, 5}, {4, 1, 7}, 2, 19, 3, 5, 23, 4},    {{2, 3, 2}, {1, 2, 3}, 1, 17, 2, 16, 33, 3},
    {{2, 1, 3}, {2, 1, 3}, 0, 4, 2, 2, 5, 3},
};

std::vector<float> scaled(std::int64_t count, float factor, std::mt19937& generator) {
  std::vector<float> values = random_values(count, generator);
  for (float& value : values) value *= factor;
  return values;
}

// Means of one sample [T, M, V, C] over all axes but one (0: T, 1: V, 2: M), normalized.
Rows tokens(const float* x, const std::array<std::int64_t, 3>& shape, std::int64_t c,
            std::int64_t axis) {
  const std::array<std::int64_t, 3> lengths{shape[0], shape[2], shape[1]};
  Rows rows(lengths[axis], std::vector<double>(c));
  const double share =
      static_cast<double>(lengths[axis]) / static_cast<double>(shape[0] * shape[1] * shape[2]);
  for (std::int64_t t = 0; t < shape[0]; ++t) {
    for (std::int64_t m = 0; m < shape[1]; ++m) {
      for (std::int64_t v = 0; v < shape[2]; ++v, x += c) {
        const std::array<std::int64_t, 3> at{t, v, m};
        for (std::int64_t i = 0; i < c; ++i) rows[at[axis]][i] += share * x[i];
      }
    }
  }
  for (std::vector<double>& row : rows) {
    double mean = 0, variance = 0;
    for (const double value : row) mean += value / static_cast<double>(c);
    for (const double value : row) variance += (value - mean) * (value - mean) / c;
    for (double& value : row) value = (value - mean) / std::sqrt(variance + 1e-5);
  }
  return rows;
}

// The columns of one head of rows @ weight + bias.
Rows project(const Rows& rows, const float* weight, const float* bias, const Sizes& s,
             std::int64_t head) {
  const std::int64_t inner = s.heads * s.width;
  Rows out;
  for (const std::vector<double>& row : rows) {
    std::vector<double> made(s.width);
    for (std::int64_t d = 0; d < s.width; ++d) {
      made[d] = bias[head * s.width + d];
      for (std::int64_t i = 0; i < s.c; ++i) {
        made[d] += row[i] * weight[i * inner + head * s.width + d];
      }
    }
    out.push_back(made);
  }
  return out;
}

// Features, of keys by the largest exponent of all; of queries by any, which cancels but for the
// floor, so by their own.
Rows features(const Rows& rows, const float* directions, const Sizes& s, bool of_keys) {
  Rows out;
  double of_all = -1e300;
  std::vector<double> largest;
  for (const std::vector<double>& row : rows) {
    std::vector<double> exponents(s.features);
    double most = -1e300;
    for (std::int64_t j = 0; j < s.features; ++j) {
      for (std::int64_t d = 0; d < s.width; ++d) {
        exponents[j] += row[d] * directions[d * s.features + j];
      }
      most = std::fmax(most, exponents[j]);
    }
    of_all = std::fmax(of_all, most);
    largest.push_back(most);
    out.push_back(exponents);
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    double half = 0;
    for (const double value : rows[r]) half += value * value / 2;
    for (double& value : out[r]) {
      value = std::exp(value - half - (of_keys ? of_all : largest[r])) + 1e-6;
    }
  }
  return out;
}

bool check(const Sizes& s, bhar::Isa isa, bool with_nan, std::mt19937& g) {
  const std::int64_t inner = s.heads * s.width;
  const std::int64_t x_size = s.x[0] * s.x[1] * s.x[2] * s.c;
  const std::int64_t context_size = s.context[0] * s.context[1] * s.context[2] * s.c;
  const float factor = 1.0f / std::sqrt(static_cast<float>(s.c));
  const std::vector<float> x = random_values(s.n * x_size, g);
  std::vector<float> context = random_values(s.n * context_size, g);
  if (with_nan && s.n > 0) context.back() = std::nanf("");
  const std::vector<float> query = scaled(3 * s.c * inner, factor, g);
  const std::vector<float> key = scaled(3 * s.c * inner, factor, g);
  const std::vector<float> query_bias = scaled(3 * inner, 0.1f, g);
  const std::vector<float> key_bias = scaled(3 * inner, 0.1f, g);
  const std::vector<float> directions = random_values(3 * s.width * s.features, g);
  const std::vector<float> value = random_values(3 * s.heads * s.c * s.outputs, g);
  const std::vector<float> bias = random_values(s.outputs, g);
  const bhar::PooledAttention attention{query.data(),
                                        query_bias.data(),
                                        key.data(),
                                        key_bias.data(),
                                        directions.data(),
                                        value.data(),
                                        bias.data(),
                                        {3, s.c, inner},
                                        {3, inner},
                                        {3, s.c, inner},
                                        {3, inner},
                                        {3, s.width, s.features},
                                        {3, s.heads, s.c, s.outputs},
                                        {s.outputs}};
  const bhar::Shape x_shape{s.n, s.x[0], s.x[1], s.x[2], s.c};
  const bhar::Shape context_shape{s.n, s.context[0], s.context[1], s.context[2], s.c};
  bhar::pooled_attention_shape(x_shape, context_shape, attention);
  std::vector<float> out(s.n * s.outputs, -7.0f);
  bhar::pooled_attention(x.data(), x_shape, context.data(), context_shape, attention, out.data(),
                         isa);

  for (std::int64_t n = 0; n < s.n; ++n) {
    std::vector<double> exact(bias.begin(), bias.end()), magnitude(s.outputs, 1.0);
    for (std::int64_t axis = 0; axis < 3; ++axis) {
      const Rows own = tokens(x.data() + n * x_size, s.x, s.c, axis);
      const Rows other = tokens(context.data() + n * context_size, s.context, s.c, axis);
      for (std::int64_t h = 0; h < s.heads; ++h) {
        const float* of_axis = directions.data() + axis * s.width * s.features;
        const Rows queries = features(
            project(own, query.data() + axis * s.c * inner, query_bias.data() + axis * inner, s, h),
            of_axis, s, false);
        const Rows keys = features(
            project(other, key.data() + axis * s.c * inner, key_bias.data() + axis * inner, s, h),
            of_axis, s, true);
        std::vector<double> weights(keys.size());
        for (const std::vector<double>& q : queries) {
          std::vector<double> products(keys.size());
          double sum = 0;
          for (std::size_t k = 0; k < keys.size(); ++k) {
            for (std::int64_t j = 0; j < s.features; ++j) products[k] += q[j] * keys[k][j];
            sum += products[k];
          }
          for (std::size_t k = 0; k < keys.size(); ++k) {
            weights[k] += products[k] / sum / static_cast<double>(queries.size());
          }
        }
        for (std::size_t k = 0; k < keys.size(); ++k) {
          for (std::int64_t i = 0; i < s.c; ++i) {
            for (std::int64_t o = 0; o < s.outputs; ++o) {
              const double product = weights[k] * other[k][i] *
                                     value[((axis * s.heads + h) * s.c + i) * s.outputs + o];
              exact[o] += product;
              magnitude[o] += std::fabs(product);
            }
          }
        }
      }
    }
    for (std::int64_t o = 0; o < s.outputs; ++o) {
      const double bound = 1e-5 * magnitude[o];
      if (!near(out[n * s.outputs + o], exact[o], bound, isa, "pooled_attention", o)) return false;
    }
  }
  return true;
}

}  // namespace

bool check_pooled_attention(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    for (const bool with_nan : {false, true}) good &= check(sizes, isa, with_nan, generator);
  }
  return good;
}
