// Convolution along time of skeleton features: over a clip, and one new frame at a time.
//
// Features are [frames, joints, channels], channels innermost: a frame is one block of memory, so a
// ring buffer holds frames as they come, and both forms run the same kernel on the same values.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

inline constexpr std::int64_t kMaxTaps = 64;

// What both forms share. Weights are dense float32: weight [K, I, O], bias [O].
struct TemporalConv {
  const float* weight;
  const float* bias;
  Shape weight_shape;
  std::vector<std::int64_t> offsets;  // K: the frame of each tap, seen from the frame it is for
  float slope = 1.0f;                 // of what is below zero, 0 to 1; 1 is no activation
};

// Shape of the result for x [N, T, V, I] and a stride of at least 1: [N, ceil(T / stride), V, O].
// Throws std::invalid_argument with what was got and what was expected.
std::array<std::int64_t, 4> temporal_conv_shape(const Shape& x, const TemporalConv& conv,
                                                const Shape& bias, std::int64_t stride);

// out[n, t] = sum_k x[n, t * stride + offsets[k]] * weight[k] + bias, then the activation; frames
// beyond the clip are its first or last one. A plain dilated convolution has offsets that are
// multiples; a deformable one whose taps were interpolated has those it needs.
// Nothing is allocated and no thread is started. The numeric bound is stated in kernels.h.
// Source: Myung et al. 2024, section III-C (DeTGC, folded).
void temporal_conv(const float* x, const Shape& x_shape, const TemporalConv& conv,
                   std::int64_t stride, float* out, Isa isa);

// Shape of the result for a ring [R, V, I] of frames: [V, O]. Offsets are at most 0 and above -R.
std::array<std::int64_t, 2> temporal_conv_step_shape(const Shape& ring, const TemporalConv& conv,
                                                     const Shape& bias, std::int64_t newest);

// The frame of the result that belongs to ring[newest]; ring[newest - 1], wrapped, is the frame
// before it. Bit for bit what temporal_conv gives for that frame of a clip.
void temporal_conv_step(const float* ring, const Shape& ring_shape, std::int64_t newest,
                        const TemporalConv& conv, float* out, Isa isa);

}  // namespace bhar
