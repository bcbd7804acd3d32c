// Packed, floats are the scales, then the integers, each block of them beside the next.

#include "bhar_ops/packed_floats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace bhar {
namespace {

constexpr std::int64_t kBlock = 32;  // that share a scale
constexpr float kGreatest = 32767.0f;
// Below it, its reciprocal would not be finite: such numbers become 0.
constexpr float kLeast = 1e-30f;

std::int64_t blocks_of(std::int64_t count) { return (count + kBlock - 1) / kBlock; }

std::int16_t* integers_of(float* packed, std::int64_t count) {
  return reinterpret_cast<std::int16_t*>(packed + blocks_of(count));
}

// Of numbers that are positive, the bits are in their order; infinity and NaN come last.
float greatest(const float* x, std::int64_t count) {
  std::int32_t most = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::int32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    most = std::max(most, bits & 0x7fffffff);
  }
  float value;
  std::memcpy(&value, &most, sizeof value);
  return value;
}

void round_all(const float* x, std::int64_t count, float factor, std::int16_t* integers) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = x[i] * factor;
    integers[i] =
        static_cast<std::int16_t>(static_cast<std::int32_t>(value + std::copysign(0.5f, value)));
  }
}

void scale_all(const std::int16_t* integers, std::int64_t count, float scale, float* x) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(integers[i]) * scale;
}

}  // namespace

std::int64_t packed_size(std::int64_t count) { return blocks_of(count) + (count + 1) / 2; }

void pack_floats(const float* x, std::int64_t count, float* packed) {
  std::int16_t* integers = integers_of(packed, count);
  for (std::int64_t at = 0; at < count; at += kBlock, ++packed) {
    const std::int64_t size = std::min(kBlock, count - at);
    const float most = greatest(x + at, size);
    if (!std::isfinite(most) || most < kLeast) {
      *packed = most < kLeast ? 0.0f : std::numeric_limits<float>::quiet_NaN();
      std::fill_n(integers + at, size, std::int16_t{0});
    } else {
      *packed = most / kGreatest;
      round_all(x + at, size, kGreatest / most, integers + at);
    }
  }
}

void unpack_floats(const float* packed, std::int64_t count, float* x) {
  const auto* integers = reinterpret_cast<const std::int16_t*>(packed + blocks_of(count));
  for (std::int64_t at = 0; at < count; at += kBlock, ++packed) {
    scale_all(integers + at, std::min(kBlock, count - at), *packed, x + at);
  }
}

}  // namespace bhar
