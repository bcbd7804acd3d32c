#include "bhar_ops/pairwise_tanh.h"

#include <cmath>
#include <limits>

#include "check.h"

namespace {

struct Sizes {
  std::int64_t n, w, v, maps, r;
};

constexpr Sizes kCases[] = {
    {1, 25, 25, 12, 2}, {2, 21, 21, 3, 8}, {1, 5, 9, 2, 7}, {1, 1, 1, 1, 1},
    {1, 3, 2, 1, 256},  {1, 4, 17, 2, 16}, {0, 4, 4, 2, 2}, {1, 0, 4, 2, 2},
    {1, 4, 0, 2, 2},    {1, 4, 4, 0, 2},   {1, 4, 4, 2, 0},
};

bool check(const Sizes& s, bhar::Isa isa, bool with_nan, std::mt19937& generator) {
  std::vector<float> to = random_values(s.n * s.w * s.maps * s.r, generator);
  const std::vector<float> from = random_values(s.n * s.v * s.maps * s.r, generator);
  if (with_nan && !to.empty()) to.back() = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> out(static_cast<std::size_t>(s.n * s.maps * s.w * s.v * s.r), -7.0f);
  bhar::pairwise_tanh(to.data(), {s.n, s.w, s.maps, s.r}, from.data(), {s.n, s.v, s.maps, s.r},
                      out.data(), isa);
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(out.size()); ++at) {
    const std::int64_t r = at % s.r, v = at / s.r % s.v, w = at / s.r / s.v % s.w;
    const std::int64_t m = at / s.r / s.v / s.w % s.maps, n = at / s.r / s.v / s.w / s.maps;
    const double exact = std::tanh(static_cast<double>(to[((n * s.w + w) * s.maps + m) * s.r + r]) -
                                   from[((n * s.v + v) * s.maps + m) * s.r + r]);
    const double bound = 4 * std::numeric_limits<float>::epsilon() * std::fabs(exact);
    if (!near(out[at], exact, bound, isa, "pairwise_tanh", at)) return false;
  }
  return true;
}

}  // namespace

bool check_pairwise_tanh(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    for (const bool with_nan : {false, true}) good &= check(sizes, isa, with_nan, generator);
  }
  return good;
}
