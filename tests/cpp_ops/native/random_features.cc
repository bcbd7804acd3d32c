// The kernels of attention: positive random features, and GELU.

#include <cmath>
#include <limits>
#include <numeric>

#include "../../../cpp_ops/src/dispatch.h"
#include "check.h"

namespace {

constexpr double kEps = std::numeric_limits<float>::epsilon();

struct Sizes {
  std::int64_t rows, width, features;
};

constexpr Sizes kCases[] = {{25, 64, 266}, {1, 1, 1},  {7, 5, 16}, {3, 33, 31},
                            {2, 16, 4},    {4, 3, 17}, {5, 8, 15}, {0, 8, 15}};

double half_square(const float* x, std::int64_t width) {
  double sum = 0;
  for (std::int64_t i = 0; i < width; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum / 2;
}

enum class Of { kKeys, kKeysOfMore, kQueries };

// Features of keys or weights of queries from the same exponents, in double.
bool check(const Sizes& s, bhar::Isa isa, Of of, bool with_nan, std::mt19937& generator) {
  const bool of_queries = of == Of::kQueries, of_more = of == Of::kKeysOfMore;
  std::vector<float> x = random_values(s.rows * s.width, generator);
  std::vector<float> out = random_values(s.rows * s.features, generator);
  std::vector<float> normalizer = random_values(s.features, generator);
  for (float& value : out) value *= 9.0f;
  for (float& value : normalizer) value = std::fabs(value);
  if (with_nan && s.rows > 0) out.back() = out[out.size() / 2] = std::nanf("");
  const std::vector<float> exponents = out;
  bhar::random_features_kernel(isa)({x.data(), of_queries ? normalizer.data() : nullptr, out.data(),
                                     s.rows, s.width, s.features, s.width, of_more});

  for (std::int64_t r = 0; r < s.rows; ++r) {
    const std::int64_t begin = r * s.features;
    const auto from = exponents.begin() + (of_queries ? begin : 0);
    const auto to = of_queries ? from + s.features : exponents.end();
    const auto greater = [](float a, float b) { return std::fmax(a, b); };
    const double largest = of_more ? 0.0 : std::accumulate(from, to, -1e30f, greater);
    const double half = half_square(x.data() + r * s.width, s.width);
    std::vector<double> exact;
    double sum = 0, size = 0;
    for (std::int64_t j = 0; j < s.features; ++j) {
      const double exponent = exponents[begin + j];
      exact.push_back(std::exp(exponent - half - largest) + bhar::kFeatureFloor);
      sum += exact.back() * normalizer[j];
      size = std::fmax(size, 1 + std::fabs(exponent) + half + std::fabs(largest));
    }
    double bound = static_cast<double>(s.width + 8) * kEps * size;
    if (of_queries) bound = 2 * bound + static_cast<double>(s.features + 2) * kEps;
    for (std::int64_t j = 0; j < s.features; ++j) {
      const double value = of_queries ? exact[j] / sum : exact[j];
      if (!near(out[begin + j], value, bound * value, isa, "random_features", begin + j)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

bool check_random_features(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    for (const Of of : {Of::kKeys, Of::kKeysOfMore, Of::kQueries}) {
      for (const bool with_nan : {false, true}) {
        good &= check(sizes, isa, of, with_nan, generator);
      }
    }
  }
  return good;
}

bool check_gelu(bhar::Isa isa, std::mt19937& generator) {
  for (const std::int64_t count : {0, 1, 7, 16, 33, 256}) {
    std::vector<float> x = random_values(count, generator);
    for (float& value : x) value *= 3.0f;
    if (count > 0) x.back() = std::nanf("");
    if (count > 1) x[0] = -1e5f;
    std::vector<float> out = x;
    bhar::gelu_kernel(isa)(out.data(), out.data(), count);
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = x[i], exact = value / 2 * std::erfc(-value / std::sqrt(2.0));
      if (!near(out[i], exact, 4 * kEps * std::fabs(value), isa, "gelu", i)) return false;
    }
  }
  return true;
}
