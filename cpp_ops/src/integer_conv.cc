#include "bhar_ops/integer_conv.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "bhar_ops/temporal_conv.h"
#include "dispatch.h"
#include "network/integers.h"

namespace bhar {
namespace {

[[noreturn]] void refuse(const std::string& got, const std::string& expected) {
  throw std::invalid_argument("got " + got + ", expected " + expected);
}

void expect_offsets(const IntegerTemporalConv& conv) {
  const auto taps = static_cast<std::int64_t>(conv.offsets.size());
  if (taps != conv.weight_shape[0] || taps > kMaxTaps) {
    refuse(std::to_string(taps) + " offsets", "one for each of the K taps of weight " +
                                                  to_string(conv.weight_shape) + ", at most " +
                                                  std::to_string(kMaxTaps));
  }
}

}  // namespace

Shape integer_temporal_conv_shape(const Shape& x, const IntegerTemporalConv& conv,
                                  std::int64_t stride) {
  const Shape& weight = conv.weight_shape;
  if (x.size() != 4) refuse("x " + to_string(x), "[N, T, V, I]");
  if (weight.size() != 3 || weight[1] != x[3]) {
    refuse("weight " + to_string(weight), "[K, " + std::to_string(x[3]) + ", O] to fit x");
  }
  if (conv.bias.shape != Shape{weight[2]}) {
    refuse("bias " + to_string(conv.bias.shape), to_string({weight[2]}) + " to fit weight");
  }
  expect_integers(conv.integers, weight[1], weight[2], weight[0] * weight[1]);
  expect_offsets(conv);
  if (!(conv.slope >= 0.0f && conv.slope <= 1.0f)) {
    refuse("slope " + std::to_string(conv.slope), "0 to 1");
  }
  if (stride < 1) refuse("stride " + std::to_string(stride), "at least 1");
  return {x[0], (x[1] + stride - 1) / stride, x[2], weight[2]};
}

void integer_temporal_conv(const std::uint8_t* x, const Shape& x_shape,
                           const IntegerTemporalConv& conv, std::int64_t stride, float* out,
                           Isa isa) {
  const Shape& shape = conv.weight_shape;
  const IntegerWeight weight(conv.integers, {1, shape[0], shape[1], shape[2]}, conv.bias, isa);
  const std::int64_t frames = x_shape[1], size = x_shape[2] * x_shape[3], last = frames - 1;
  IntegerConvFrame frame{};
  frame.rows = x_shape[2];
  frame.out = out;
  frame.out_stride = shape[2];
  frame.out_block = kChannelBlock;
  frame.slope = conv.slope;
  for (std::int64_t n = 0; n < x_shape[0]; ++n) {
    for (std::int64_t t = 0; t < frames; t += stride, frame.out += frame.rows * shape[2]) {
      std::array<const std::uint8_t*, kMaxTaps> taps{};
      for (std::size_t k = 0; k < conv.offsets.size(); ++k) {
        // Clamped before it is added: t + offset must not overflow.
        const std::int64_t at = t + std::clamp(conv.offsets[k], -last, last);
        taps[k] = x + (n * frames + std::clamp(at, std::int64_t{0}, last)) * size;
      }
      weight.compute(frame, taps.data(), 0);
    }
  }
}

void quantize(const float* x, std::int64_t count, float step, std::int64_t zero, std::uint8_t* out,
              Isa isa) {
  integer_kernels(isa).quantize({x, out, count, 1.0f / step, static_cast<float>(zero)});
}

}  // namespace bhar
