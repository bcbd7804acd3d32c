#include "bhar_ops/refined_aggregate.h"

#include <cmath>
#include <limits>

#include "check.h"

namespace {

struct Sizes {
  std::int64_t n, k, t, v, w, groups, channels, r;
};

constexpr Sizes kCases[] = {
    {1, 3, 12, 25, 25, 4, 16, 2}, {2, 3, 6, 21, 21, 2, 35, 4}, {1, 2, 23, 5, 3, 3, 7, 1},
    {1, 1, 1, 1, 1, 1, 1, 1},     {2, 2, 5, 4, 6, 2, 3, 0},    {1, 0, 4, 5, 5, 1, 16, 2},
    {1, 3, 4, 0, 5, 2, 4, 2},     {1, 3, 0, 5, 5, 2, 4, 2},    {0, 3, 4, 5, 5, 2, 4, 2},
    {1, 3, 4, 5, 0, 2, 4, 2},     {1, 2, 4, 5, 5, 2, 0, 2},
};

bool check(const Sizes& s, bhar::Isa isa, bool with_nan, std::mt19937& generator) {
  const std::int64_t c = s.groups * s.channels;
  std::vector<float> value = random_values(s.n * s.k * s.t * s.v * c, generator);
  const std::vector<float> relation =
      random_values(s.n * s.k * s.groups * s.r * s.v * s.w, generator);
  const std::vector<float> weight = random_values(s.k * s.r * c, generator);
  const std::vector<float> shift = random_values(s.k * c, generator);
  const std::vector<float> a = random_values(s.k * s.v * s.w, generator);
  if (with_nan && !value.empty()) value.back() = std::numeric_limits<float>::quiet_NaN();
  const bhar::RefinedAggregate problem{value.data(),
                                       relation.data(),
                                       weight.data(),
                                       shift.data(),
                                       a.data(),
                                       {s.n, s.k, s.t, s.v, c},
                                       {s.n, s.k, s.groups, s.w, s.v, s.r},
                                       {s.k, s.r, c},
                                       {s.k, c},
                                       {s.k, s.w, s.v}};
  std::vector<float> out(static_cast<std::size_t>(s.n * s.t * s.w * c), -7.0f);
  bhar::refined_aggregate(problem, out.data(), isa);

  const double bound =
      static_cast<double>(s.k * s.v + s.r + 3) * std::numeric_limits<float>::epsilon();
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(out.size()); ++at) {
    const std::int64_t channel = at % c, w = at / c % s.w, t = at / c / s.w % s.t;
    const std::int64_t n = at / c / s.w / s.t, group = channel / s.channels;
    double exact = 0, magnitude = 0;
    for (std::int64_t k = 0; k < s.k; ++k) {
      for (std::int64_t v = 0; v < s.v; ++v) {
        double edge = a[(k * s.w + w) * s.v + v], size = std::fabs(edge);
        edge += shift[k * c + channel];
        size += std::fabs(shift[k * c + channel]);
        for (std::int64_t r = 0; r < s.r; ++r) {
          const std::int64_t edges = ((n * s.k + k) * s.groups + group) * s.w + w;
          const double part = static_cast<double>(weight[(k * s.r + r) * c + channel]) *
                              relation[(edges * s.v + v) * s.r + r];
          edge += part;
          size += std::fabs(part);
        }
        const double x = value[(((n * s.k + k) * s.t + t) * s.v + v) * c + channel];
        exact += x * edge;
        magnitude += std::fabs(x) * size;
      }
    }
    if (!near(out[at], exact, bound * magnitude, isa, "refined_aggregate", at)) return false;
  }
  return true;
}

}  // namespace

bool check_refined_aggregate(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    for (const bool with_nan : {false, true}) good &= check(sizes, isa, with_nan, generator);
  }
  return good;
}
