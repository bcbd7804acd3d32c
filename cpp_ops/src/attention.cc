#include "attention.h"

#include <algorithm>
#include <cmath>

#include "dispatch.h"

namespace bhar {
namespace {

const KernelRow<RandomFeaturesFn> kRandomFeatures[] = {
    {Isa::kAvx512, random_features_f32_avx512},
    {Isa::kAvx2, random_features_f32_avx2},
    {Isa::kNeon, random_features_f32_neon},
    {Isa::kScalar, random_features_f32_scalar},
};

const KernelRow<GeluFn> kGelu[] = {
    {Isa::kAvx512, gelu_f32_avx512},
    {Isa::kAvx2, gelu_f32_avx2},
    {Isa::kNeon, gelu_f32_neon},
    {Isa::kScalar, gelu_f32_scalar},
};

constexpr float kNormEps = 1e-5f;

// The sum of of(i), in as many parts as make vectors of compilers' loops.
template <class Of>
float sum_of(std::int64_t count, const Of& of) {
  constexpr std::int64_t kParts = 16;
  float parts[kParts] = {};
  std::int64_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (std::int64_t j = 0; j < kParts; ++j) parts[j] += of(i + j);
  }
  float sum = 0.0f;
  for (; i < count; ++i) sum += of(i);
  for (const float part : parts) sum += part;
  return sum;
}

}  // namespace

RandomFeaturesFn random_features_kernel(Isa isa) {
  return kernel_for(kRandomFeatures, isa, "random_features");
}

GeluFn gelu_kernel(Isa isa) { return kernel_for(kGelu, isa, "gelu"); }

float dot(const float* left, const float* right, std::int64_t count) {
  return sum_of(count, [=](std::int64_t i) { return left[i] * right[i]; });
}

void Linear::operator()(TemporalConvFn kernel, const Rows& x, float* out,
                        std::int64_t out_stride) const {
  TemporalConvFrame frame{};
  frame.taps = &x.x;
  frame.weight = weight;
  frame.bias = bias;
  frame.out = out;
  frame.k = 1;
  frame.rows = x.count;
  frame.inputs = inputs;
  frame.outputs = outputs;
  frame.x_stride = x.stride;
  frame.out_stride = out_stride;
  frame.out_block = kChannelBlock;
  frame.slope = 1.0f;
  kernel(frame);
}

void RandomFeatures::keys(const Rows& x, float* out, float* sum) const {
  const std::int64_t count = exponents.outputs;
  exponents(linear, x, out, count);
  kernel({x.x, nullptr, out, x.count, exponents.inputs, count, x.stride, more_keys});
  std::fill_n(sum, count, 0.0f);
  for (std::int64_t row = 0; row < x.count; ++row, out += count) {
    for (std::int64_t j = 0; j < count; ++j) sum[j] += out[j];
  }
}

void RandomFeatures::queries(const Rows& x, const float* key_sum, float* out) const {
  exponents(linear, x, out, exponents.outputs);
  kernel({x.x, key_sum, out, x.count, exponents.inputs, exponents.outputs, x.stride, false});
}

void normalize(const float* x, std::int64_t count, float* out) {
  const auto size = static_cast<float>(count);
  const float mean = sum_of(count, [=](std::int64_t i) { return x[i]; }) / size;
  const float variance =
      sum_of(count, [=](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / size;
  const float scale = 1.0f / std::sqrt(variance + kNormEps);
  for (std::int64_t i = 0; i < count; ++i) out[i] = (x[i] - mean) * scale;
}

}  // namespace bhar
