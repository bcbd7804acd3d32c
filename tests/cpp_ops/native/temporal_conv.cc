#include "bhar_ops/temporal_conv.h"

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
    {2, 5, 21, 7, 33, 2, {-2, 0, 2}},
    {1, 1, 1, 1, 1, 1, {0}},
    {1, 3, 2, 5, 15, 1, {-9, 9}},
    {1, 4, 10, 3, 16, 3, {0, -1}},
    {1, 6, 9, 2, 17, 4, {1}},
    {2, 4, 19, 4, 48, 1, {}},
    {1, 4, 25, 0, 8, 1, {0, 1}},
    {1, 4, 0, 3, 8, 1, {0}},
    {1, 0, 25, 3, 8, 2, {0, 1}},
    {0, 4, 25, 3, 8, 1, {0}},
    {1, 4, 25, 3, 0, 1, {0}},
};

bool check(const Sizes& s, float slope, bhar::Isa isa, bool with_nan, std::mt19937& generator) {
  const auto taps = static_cast<std::int64_t>(s.offsets.size());
  std::vector<float> x = random_values(s.n * s.t * s.v * s.i, generator);
  const std::vector<float> weight = random_values(taps * s.i * s.o, generator);
  const std::vector<float> bias = random_values(s.o, generator);
  if (with_nan && !x.empty()) x.back() = std::numeric_limits<float>::quiet_NaN();
  const bhar::Shape x_shape{s.n, s.t, s.v, s.i};
  const bhar::TemporalConv conv{weight.data(), bias.data(), {taps, s.i, s.o}, s.offsets, slope};
  const auto shape = bhar::temporal_conv_shape(x_shape, conv, {s.o}, s.stride);
  std::vector<float> out(static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]), -7);
  bhar::temporal_conv(x.data(), x_shape, conv, s.stride, out.data(), isa);

  const double bound = static_cast<double>(taps * s.i + 2) * std::numeric_limits<float>::epsilon();
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(out.size()); ++at) {
    const std::int64_t o = at % s.o, v = at / s.o % s.v, t = at / s.o / s.v % shape[1];
    const std::int64_t n = at / s.o / s.v / shape[1];
    double exact = bias[o], magnitude = std::fabs(exact);
    for (std::int64_t k = 0; k < taps; ++k) {
      const std::int64_t frame = std::clamp(t * s.stride + s.offsets[k], std::int64_t{0}, s.t - 1);
      for (std::int64_t i = 0; i < s.i; ++i) {
        const double product = static_cast<double>(x[((n * s.t + frame) * s.v + v) * s.i + i]) *
                               weight[(k * s.i + i) * s.o + o];
        exact += product;
        magnitude += std::fabs(product);
      }
    }
    if (exact < 0) exact *= slope;
    if (!near(out[at], exact, bound * magnitude, isa, "temporal_conv", at)) return false;
  }
  return true;
}

// A ring of frames, each a little more than was written last, gives what the clip gives.
bool check_step(bhar::Isa isa, std::mt19937& generator) {
  constexpr std::int64_t kFrames = 11, kRing = 5, kJoints = 25, kInputs = 6, kOutputs = 37;
  const std::vector<std::int64_t> offsets{-4, -2, 0};
  const std::vector<float> x = random_values(kFrames * kJoints * kInputs, generator);
  const std::vector<float> weight = random_values(3 * kInputs * kOutputs, generator);
  const std::vector<float> bias = random_values(kOutputs, generator);
  const bhar::TemporalConv conv{weight.data(), bias.data(), {3, kInputs, kOutputs}, offsets, 0.1f};
  std::vector<float> clip(kFrames * kJoints * kOutputs), frame(kJoints * kOutputs);
  bhar::temporal_conv(x.data(), {1, kFrames, kJoints, kInputs}, conv, 1, clip.data(), isa);
  std::vector<float> ring(kRing * kJoints * kInputs);
  constexpr std::int64_t kSize = kJoints * kInputs;
  for (std::int64_t r = 0; r < kRing; ++r) {
    std::copy_n(x.begin(), kSize, ring.begin() + r * kSize);  // before the first frame: the first
  }
  for (std::int64_t t = 0; t < kFrames; ++t) {
    std::copy_n(x.begin() + t * kSize, kSize, ring.begin() + t % kRing * kSize);
    const bhar::Shape shape{kRing, kJoints, kInputs};
    bhar::temporal_conv_step(ring.data(), shape, t % kRing, conv, frame.data(), isa);
    for (std::size_t at = 0; at < frame.size(); ++at) {
      const std::size_t in_clip = static_cast<std::size_t>(t) * frame.size() + at;
      if (!near(frame[at], clip[in_clip], 0.0, isa, "temporal_conv_step", t)) return false;
    }
  }
  return true;
}

}  // namespace

bool check_temporal_conv(bhar::Isa isa, std::mt19937& generator) {
  bool good = check_step(isa, generator);
  for (const Sizes& sizes : kCases) {
    for (const float slope : {0.0f, 0.1f, 1.0f}) {
      for (const bool with_nan : {false, true}) {
        good &= check(sizes, slope, isa, with_nan, generator);
      }
    }
  }
  return good;
}
