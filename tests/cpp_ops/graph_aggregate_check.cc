// Every kernel that this CPU can run, against sums in double: built natively with sanitizers and
// for AArch64 under an emulator, where no Python is at hand. Prints one line for each kernel.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include "bhar_ops/graph_aggregate.h"
#include "bhar_ops/isa.h"

namespace {

struct Sizes {
  std::int64_t n, k, c, t, v, w;
};

constexpr Sizes kCases[] = {
    {1, 3, 4, 8, 25, 25}, {2, 3, 2, 5, 21, 21}, {1, 2, 3, 3, 67, 67}, {1, 1, 1, 1, 1, 1},
    {2, 1, 3, 7, 5, 3},   {1, 2, 2, 9, 7, 2},   {1, 3, 1, 4, 17, 33}, {1, 2, 1, 11, 16, 64},
    {3, 0, 2, 4, 25, 25}, {1, 3, 2, 4, 0, 9},   {1, 3, 2, 0, 25, 25}, {0, 3, 2, 4, 25, 25},
    {1, 3, 2, 4, 25, 0},  {1, 2, 1, 5, 4, 4},   {1, 2, 1, 5, 9, 12},  {1, 2, 1, 5, 9, 31},
};

std::vector<float> random_values(std::int64_t count, std::mt19937& generator) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

// Exactly as many floats as the arrays hold, so a sanitizer sees any read or write past the end.
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
    const bool good =
        std::isnan(exact) ? std::isnan(out[i]) : std::fabs(out[i] - exact) <= bound * magnitude;
    if (!good) {
      std::printf("%s: out[%lld, %lld, %lld, %lld] = %g, expected %g\n", bhar::isa_name(isa),
                  static_cast<long long>(n), static_cast<long long>(c), static_cast<long long>(t),
                  static_cast<long long>(w), out[i], exact);
      return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  std::mt19937 generator(7);
  bool good = true;
  for (const bhar::Isa isa : bhar::available_isas()) {
    bool isa_good = true;
    for (const Sizes& sizes : kCases) {
      for (const bool channel_wise : {false, true}) {
        for (const bool with_nan : {false, true}) {
          isa_good &= check(sizes, channel_wise, isa, with_nan, generator);
        }
      }
    }
    std::printf("%s %s\n", bhar::isa_name(isa), isa_good ? "ok" : "FAILED");
    good &= isa_good;
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
