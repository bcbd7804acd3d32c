#include "bhar_ops/temporal_conv.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "bhar_ops/kernels.h"
#include "dispatch.h"

namespace bhar {
namespace {

const KernelRow<TemporalConvFn> kKernels[] = {
    {Isa::kAvx512, temporal_conv_f32_avx512},
    {Isa::kAvx2, temporal_conv_f32_avx2},
    {Isa::kNeon, temporal_conv_f32_neon},
    {Isa::kScalar, temporal_conv_f32_scalar},
};

[[noreturn]] void refuse(const std::string& got, const std::string& expected) {
  throw std::invalid_argument("got " + got + ", expected " + expected);
}

void check(const TemporalConv& conv, const Shape& bias, std::int64_t inputs) {
  const Shape& weight = conv.weight_shape;
  if (weight.size() != 3 || weight[1] != inputs) {
    refuse("weight " + to_string(weight), "[K, " + std::to_string(inputs) + ", O] to fit x");
  }
  if (bias != Shape{weight[2]}) {
    refuse("bias " + to_string(bias), to_string({weight[2]}) + " to fit weight");
  }
  const auto taps = static_cast<std::int64_t>(conv.offsets.size());
  if (taps != weight[0] || taps > kMaxTaps) {
    refuse(std::to_string(taps) + " offsets", "one for each of the K taps of weight " +
                                                  to_string(weight) + ", at most " +
                                                  std::to_string(kMaxTaps));
  }
  if (!(conv.slope >= 0.0f && conv.slope <= 1.0f)) {
    refuse("slope " + std::to_string(conv.slope), "0 to 1");
  }
}

TemporalConvFrame frame_of(const TemporalConv& conv, const float* const* taps, std::int64_t rows,
                           float* out) {
  const Shape& weight = conv.weight_shape;
  TemporalConvFrame frame{};
  frame.taps = taps;
  frame.weight = conv.weight;
  frame.bias = conv.bias;
  frame.out = out;
  frame.k = weight[0];
  frame.rows = rows;
  frame.inputs = frame.x_stride = weight[1];
  frame.outputs = frame.out_stride = weight[2];
  frame.out_block = kChannelBlock;
  frame.slope = conv.slope;
  return frame;
}

}  // namespace

TemporalConvFn temporal_conv_kernel(Isa isa) { return kernel_for(kKernels, isa, "temporal_conv"); }

std::array<std::int64_t, 4> temporal_conv_shape(const Shape& x, const TemporalConv& conv,
                                                const Shape& bias, std::int64_t stride) {
  if (x.size() != 4) refuse("x " + to_string(x), "[N, T, V, I]");
  check(conv, bias, x[3]);
  if (stride < 1) refuse("stride " + std::to_string(stride), "at least 1");
  return {x[0], (x[1] + stride - 1) / stride, x[2], conv.weight_shape[2]};
}

void temporal_conv(const float* x, const Shape& x_shape, const TemporalConv& conv,
                   std::int64_t stride, float* out, Isa isa) {
  const TemporalConvFn kernel = temporal_conv_kernel(isa);
  const std::int64_t frames = x_shape[1], rows = x_shape[2], size = rows * x_shape[3];
  const std::int64_t last = frames - 1, out_size = rows * conv.weight_shape[2];
  std::array<const float*, kMaxTaps> taps{};
  TemporalConvFrame frame = frame_of(conv, taps.data(), rows, out);
  for (std::int64_t n = 0; n < x_shape[0]; ++n) {
    const float* clip = x + n * frames * size;
    for (std::int64_t t = 0; t < frames; t += stride, frame.out += out_size) {
      for (std::int64_t k = 0; k < frame.k; ++k) {
        const auto at = static_cast<std::size_t>(k);
        // Clamped before it is added: t + offset must not overflow.
        const std::int64_t offset = std::clamp(conv.offsets[at], -last, last);
        taps[at] = clip + std::clamp(t + offset, std::int64_t{0}, last) * size;
      }
      kernel(frame);
    }
  }
}

std::array<std::int64_t, 2> temporal_conv_step_shape(const Shape& ring, const TemporalConv& conv,
                                                     const Shape& bias, std::int64_t newest) {
  if (ring.size() != 3) refuse("ring " + to_string(ring), "[R, V, I]");
  check(conv, bias, ring[2]);
  if (newest < 0 || newest >= ring[0]) {
    refuse("newest " + std::to_string(newest), "a frame of ring " + to_string(ring));
  }
  for (const std::int64_t offset : conv.offsets) {
    if (offset > 0 || offset <= -ring[0]) {
      refuse("offset " + std::to_string(offset),
             "at most 0, and above " + std::to_string(-ring[0]) + " for ring " + to_string(ring));
    }
  }
  return {ring[1], conv.weight_shape[2]};
}

void temporal_conv_step(const float* ring, const Shape& ring_shape, std::int64_t newest,
                        const TemporalConv& conv, float* out, Isa isa) {
  const TemporalConvFn kernel = temporal_conv_kernel(isa);
  const std::int64_t frames = ring_shape[0], size = ring_shape[1] * ring_shape[2];
  std::array<const float*, kMaxTaps> taps{};
  for (std::size_t k = 0; k < conv.offsets.size(); ++k) {
    const std::int64_t at = newest + conv.offsets[k];
    taps[k] = ring + (at < 0 ? at + frames : at) * size;
  }
  kernel(frame_of(conv, taps.data(), ring_shape[1], out));
}

}  // namespace bhar
