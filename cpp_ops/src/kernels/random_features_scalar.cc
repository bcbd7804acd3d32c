// The reference: features as they are defined, with the exp of the C library.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

// Of those that are numbers: the feature of a NaN is NaN whatever this gives.
float greatest(const float* values, std::int64_t count) {
  float most = -__builtin_inff();
  for (std::int64_t i = 0; i < count; ++i) most = values[i] > most ? values[i] : most;
  return most;
}

void raise(const RandomFeatureRows& p, const float* x, float* out, float largest) {
  float square = 0.0f;
  for (std::int64_t i = 0; i < p.width; ++i) square += x[i] * x[i];
  for (std::int64_t j = 0; j < p.features; ++j) {
    out[j] = __builtin_expf(out[j] - square / 2 - largest) + kFeatureFloor;
  }
}

void weigh(const RandomFeatureRows& p, float* out) {
  float sum = 0.0f;
  for (std::int64_t j = 0; j < p.features; ++j) sum += out[j] * p.normalizer[j];
  for (std::int64_t j = 0; j < p.features; ++j) out[j] /= sum;
}

void run(const RandomFeatureRows& p) {
  if (p.rows == 0) return;
  const float of_all = p.more_keys ? 0.0f : greatest(p.out, p.rows * p.features);
  for (std::int64_t r = 0; r < p.rows; ++r) {
    float* out = p.out + r * p.features;
    const float largest = p.normalizer == nullptr ? of_all : greatest(out, p.features);
    raise(p, p.x + r * p.x_stride, out, largest);
    if (p.normalizer != nullptr) weigh(p, out);
  }
}

}  // namespace

const RandomFeaturesFn random_features_f32_scalar = run;

}  // namespace bhar
