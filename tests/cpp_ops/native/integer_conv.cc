#include "bhar_ops/integer_conv.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"

namespace {

struct Sizes {
  std::int64_t n, t, v, i, o, stride;
  std::vector<std::int64_t> offsets;
};

const Sizes kCases[] = {
    {1, 8, 25, 16, 64, 1, {-4, -3, -2, -1, 0}},
    {2, 5, 21, 8, 33, 2, {-2, 0, 2}},
    {1, 1, 1, 4, 1, 1, {0}},
    {1, 3, 2, 4, 15, 1, {-9, 9}},
    {1, 4, 10, 12, 16, 3, {0, -1}},
    {1, 6, 9, 4, 17, 4, {1}},
    {2, 4, 19, 4, 48, 1, {}},
    {1, 4, 25, 0, 8, 1, {0, 1}},
    {1, 4, 0, 4, 8, 1, {0}},
    {1, 0, 25, 4, 8, 2, {0, 1}},
    {1, 2, 25, 256, 192, 1, {0}},
};

// Bytes and weights of the greatest size too, whose products meet in 16 bits.
bool check(const Sizes& s, bhar::Isa isa, bool greatest, std::mt19937& generator) {
  std::uniform_int_distribution<int> byte(greatest ? 255 : 0, 255);
  std::uniform_int_distribution<int> integer(greatest ? 63 : -63, 63);
  const auto taps = static_cast<std::int64_t>(s.offsets.size());
  std::vector<std::uint8_t> x(static_cast<std::size_t>(s.n * s.t * s.v * s.i));
  for (std::uint8_t& value : x) value = static_cast<std::uint8_t>(byte(generator));
  bhar::IntegerTemporalConv conv;
  conv.integers.values.resize(static_cast<std::size_t>(taps * s.i * s.o));
  for (std::int8_t& value : conv.integers.values)
    value = static_cast<std::int8_t>(integer(generator));
  const std::vector<float> scale = random_values(s.o, generator),
                           bias = random_values(s.o, generator);
  conv.integers.scale.assign(scale.begin(), scale.end());
  conv.integers.step = 0.037f;
  conv.integers.zero = 101;
  conv.weight_shape = {taps, s.i, s.o};
  conv.bias = {{s.o}, {bias.begin(), bias.end()}};
  conv.offsets = s.offsets;
  conv.slope = 0.1f;
  const bhar::Shape x_shape{s.n, s.t, s.v, s.i};
  const bhar::Shape shape = bhar::integer_temporal_conv_shape(x_shape, conv, s.stride);
  std::vector<float> out(static_cast<std::size_t>(bhar::element_count(shape))), wanted(out);
  bhar::integer_temporal_conv(x.data(), x_shape, conv, s.stride, out.data(), isa);
  bhar::integer_temporal_conv(x.data(), x_shape, conv, s.stride, wanted.data(), bhar::Isa::kScalar);
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(out.size()); ++at) {
    const auto index = static_cast<std::size_t>(at);
    if (!near(out[index], wanted[index], 0.0, isa, "integer_conv", at)) return false;
    const std::int64_t o = at % s.o, v = at / s.o % s.v, t = at / s.o / s.v % shape[1];
    const std::int64_t n = at / s.o / s.v / shape[1];
    double exact = 0, magnitude = std::fabs(bias[o]);
    for (std::int64_t k = 0; k < taps; ++k) {
      const std::int64_t frame = std::clamp(t * s.stride + s.offsets[k], std::int64_t{0}, s.t - 1);
      for (std::int64_t i = 0; i < s.i; ++i) {
        const int meets = x[((n * s.t + frame) * s.v + v) * s.i + i];
        const double weight = 0.037f * scale[o] * conv.integers.values[(k * s.i + i) * s.o + o];
        exact += (meets - 101) * weight;
        magnitude += 255 * std::fabs(weight);
      }
    }
    exact += bias[o];
    if (exact < 0) exact *= 0.1f;
    const double bound = 4 * std::numeric_limits<float>::epsilon() * magnitude;
    if (!near(out[index], exact, bound, isa, "integer_conv", at)) return false;
  }
  return true;
}

bool check_quantize(bhar::Isa isa, std::mt19937& generator) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::int64_t count = 0; count < 40; ++count) {
    std::vector<float> x = random_values(count, generator);
    if (count > 4) {
      x[0] = std::numeric_limits<float>::quiet_NaN();
      x[1] = kInfinity;
      x[2] = -kInfinity;
      x[3] = 3e38f;
      x[4] = 0.125f;  // a half, to even
    }
    std::vector<std::uint8_t> out(x.size()), wanted(x.size());
    bhar::quantize(x.data(), count, 0.25f, 17, out.data(), isa);
    bhar::quantize(x.data(), count, 0.25f, 17, wanted.data(), bhar::Isa::kScalar);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      if (!near(out[i], wanted[i], 0.0, isa, "quantize", at)) return false;
      const double exact =
          std::isnan(x[i]) ? 0.0 : std::clamp(std::nearbyint(x[i] * 4.0 + 17), 0.0, 255.0);
      if (!near(out[i], exact, 0.0, isa, "quantize", at)) return false;
    }
  }
  return true;
}

}  // namespace

bool check_integer_conv(bhar::Isa isa, std::mt19937& generator) {
  bool good = check_quantize(isa, generator);
  for (const Sizes& sizes : kCases) {
    for (const bool greatest : {false, true}) good &= check(sizes, isa, greatest, generator);
  }
  return good;
}
