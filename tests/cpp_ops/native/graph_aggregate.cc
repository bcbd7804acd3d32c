#include "bhar_ops/graph_aggregate.h"

#include <cmath>
#include <limits>

#include "check.h"

namespace {

struct Sizes {
  std::int64_t n, k, c, t, v, w;
};

constexpr Sizes kCases[] = {
    {1, 3, 4, 8, 25, 25},  {2, 3, 2, 5, 21, 21},  {1, 2, 3, 3, 67, 67},  {1, 1, 1, 1, 1, 1},
    {2, 1, 3, 7, 5, 3},    {1, 2, 2, 9, 7, 2},    {1, 3, 1, 4, 17, 33},  {1, 2, 1, 11, 16, 64},
    {3, 0, 2, 4, 25, 25},  {1, 3, 2, 4, 0, 9},    {1, 3, 2, 0, 25, 25},  {0, 3, 2, 4, 25, 25},
    {1, 3, 5, 23, 25, 25}, {1, 2, 2, 97, 33, 35}, {2, 3, 1, 112, 16, 9}, {1, 3, 2, 4, 25, 0},
    {1, 2, 1, 5, 4, 4},    {1, 2, 1, 5, 9, 12},   {1, 2, 1, 5, 9, 31},
};

bool check(const Sizes& s, bool channel_wise, bhar::Isa isa, bool with_nan,
           std::mt19937& generator) {
  std::vector<float> x = random_values(s.n * s.k * s.c * s.t * s.v, generator);
  const bhar::Shape x_shape{s.n, s.k, s.c, s.t, s.v};
  const bhar::Shape a_shape =
      channel_wise ? bhar::Shape{s.n, s.k, s.c, s.v, s.w} : bhar::Shape{s.k, s.v, s.w};
  const std::int64_t groups = channel_wise ? s.n * s.c : 1;
  const std::vector<float> a = random_values(groups * s.k * s.v * s.w, generator);
  if (with_nan && !x.empty()) x.back() = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> out(static_cast<std::size_t>(s.n * s.c * s.t * s.w), -1.0f);
  bhar::graph_aggregate(x.data(), x_shape, a.data(), a_shape, out.data(), isa);

  const double bound = static_cast<double>(s.k * s.v) * std::numeric_limits<float>::epsilon();
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(out.size()); ++i) {
    const std::int64_t w = i % s.w, t = i / s.w % s.t, c = i / s.w / s.t % s.c;
    const std::int64_t n = i / s.w / s.t / s.c;
    double exact = 0, magnitude = 0;
    for (std::int64_t k = 0; k < s.k; ++k) {
      for (std::int64_t v = 0; v < s.v; ++v) {
        const std::int64_t matrix = channel_wise ? (n * s.k + k) * s.c + c : k;
        const double product =
            static_cast<double>(x[(((n * s.k + k) * s.c + c) * s.t + t) * s.v + v]) *
            a[(matrix * s.v + v) * s.w + w];
        exact += product;
        magnitude += std::fabs(product);
      }
    }
    if (!near(out[i], exact, bound * magnitude, isa, "graph_aggregate", i)) return false;
  }
  return true;
}

}  // namespace

bool check_graph_aggregate(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    for (const bool channel_wise : {false, true}) {
      for (const bool with_nan : {false, true}) {
        good &= check(sizes, channel_wise, isa, with_nan, generator);
      }
    }
  }
  return good;
}
