#include "bhar_ops/integer_graph_aggregate.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "check.h"

namespace {

constexpr float kStep = 0.037f;
constexpr int kZero = 101;

struct Sizes {
  std::int64_t n, k, c, t, v, w;
};

// Of one to three joints several rows end less than four bytes before the array does.
constexpr Sizes kCases[] = {
    {1, 3, 4, 8, 25, 25}, {2, 3, 2, 5, 21, 21}, {1, 2, 3, 3, 67, 67}, {1, 1, 1, 1, 1, 1},
    {2, 1, 3, 7, 5, 3},   {1, 2, 2, 9, 7, 2},   {1, 3, 1, 4, 17, 33}, {1, 2, 1, 11, 16, 64},
    {3, 0, 2, 4, 25, 25}, {1, 3, 2, 4, 0, 9},   {1, 3, 2, 0, 25, 25}, {0, 3, 2, 4, 25, 25},
    {1, 3, 2, 4, 25, 0},  {2, 2, 3, 1, 1, 5},   {1, 1, 2, 2, 1, 4},   {1, 3, 1, 5, 2, 17},
    {1, 2, 2, 1, 3, 16},
};

bool check(const Sizes& s, bool channel_wise, bool greatest, bhar::Isa isa,
           std::mt19937& generator) {
  std::uniform_int_distribution<int> byte(greatest ? 255 : 0, 255);
  std::uniform_int_distribution<int> integer(greatest ? 63 : -63, 63);
  std::vector<std::uint8_t> x(static_cast<std::size_t>(s.n * s.k * s.c * s.t * s.v));
  for (std::uint8_t& value : x) value = static_cast<std::uint8_t>(byte(generator));
  const std::int64_t groups = channel_wise ? s.n * s.c : 1;
  std::vector<std::int8_t> a(static_cast<std::size_t>(groups * s.k * s.v * s.w));
  for (std::int8_t& value : a) value = static_cast<std::int8_t>(integer(generator));
  const std::vector<float> scale = random_values(s.w, generator);
  const bhar::IntegerGraphAggregate problem{
      x.data(),
      a.data(),
      scale.data(),
      {s.n, s.k, s.c, s.t, s.v},
      channel_wise ? bhar::Shape{s.n, s.k, s.c, s.v, s.w} : bhar::Shape{s.k, s.v, s.w},
      {s.w},
      kStep,
      kZero};
  const auto shape = bhar::integer_graph_aggregate_shape(problem);
  const auto size = static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]);
  std::vector<float> out(size, -1.0f), wanted(size, -2.0f);
  bhar::integer_graph_aggregate(problem, out.data(), isa);
  bhar::integer_graph_aggregate(problem, wanted.data(), bhar::Isa::kScalar);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(size); ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (!near(out[index], wanted[index], 0.0, isa, "integer_graph_aggregate", i)) return false;
    const std::int64_t w = i % s.w, t = i / s.w % s.t, c = i / s.w / s.t % s.c;
    const std::int64_t n = i / s.w / s.t / s.c;
    const double factor = static_cast<double>(kStep) * scale[static_cast<std::size_t>(w)];
    std::int64_t sum = 0, magnitude = 0;
    for (std::int64_t k = 0; k < s.k; ++k) {
      for (std::int64_t v = 0; v < s.v; ++v) {
        const std::int64_t matrix = channel_wise ? (n * s.k + k) * s.c + c : k;
        const std::int64_t row = ((n * s.k + k) * s.c + c) * s.t + t;
        const int weight = a[static_cast<std::size_t>((matrix * s.v + v) * s.w + w)];
        sum += (x[static_cast<std::size_t>(row * s.v + v)] - kZero) * weight;
        magnitude += 255 * std::abs(weight);
      }
    }
    const double bound = 4 * std::numeric_limits<float>::epsilon() *
                         static_cast<double>(magnitude) * std::fabs(factor);
    const double exact = static_cast<double>(sum) * factor;
    if (!near(out[index], exact, bound, isa, "integer_graph_aggregate", i)) return false;
  }
  return true;
}

}  // namespace

bool check_integer_graph_aggregate(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    for (const bool channel_wise : {false, true}) {
      for (const bool greatest : {false, true}) {
        good &= check(sizes, channel_wise, greatest, isa, generator);
      }
    }
  }
  return good;
}
