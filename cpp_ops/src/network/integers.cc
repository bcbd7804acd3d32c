#include "integers.h"

#include <stdexcept>
#include <string>

#include "bhar_ops/integer_conv.h"

namespace bhar {
namespace {

[[noreturn]] void refuse(const std::string& got, const std::string& expected) {
  throw std::invalid_argument("got " + got + ", expected " + expected);
}

}  // namespace

void expect_bytes(float step, std::int64_t zero) {
  if (!(step >= kLeastStep && step <= kMostStep)) {
    refuse("a step of bytes of " + std::to_string(step), "1e-30 to 1e30");
  }
  if (zero < 0 || zero > 255) refuse("the byte of zero " + std::to_string(zero), "0 to 255");
}

void expect_integers(const Integers& integers, std::int64_t inputs, std::int64_t outputs,
                     std::int64_t terms) {
  constexpr std::int64_t kMostTerms = 1 << 17;
  if (inputs % kInputsAtOnce != 0) {
    refuse(std::to_string(inputs) + " inputs of a weight in integers",
           "a multiple of " + std::to_string(kInputsAtOnce));
  }
  if (terms > kMostTerms) {
    refuse(std::to_string(terms) + " products of one sum in integers",
           "at most " + std::to_string(kMostTerms));
  }
  if (static_cast<std::int64_t>(integers.scale.size()) != outputs) {
    refuse(std::to_string(integers.scale.size()) + " scales of a weight in integers",
           std::to_string(outputs));
  }
  for (const std::int8_t value : integers.values) {
    if (value < -kMostInteger || value > kMostInteger) {
      refuse("a weight in integers of " + std::to_string(value),
             std::to_string(-kMostInteger) + " to " + std::to_string(kMostInteger));
    }
  }
  expect_bytes(integers.step, integers.zero);
}

IntegerWeight::IntegerWeight(const Integers& integers, const Shape& shape, const Array& bias,
                             Isa isa)
    : groups_(shape[0]),
      taps_(shape[1]),
      inputs_(shape[2]),
      outputs_(shape[3]),
      padded_((outputs_ + kChannelBlock - 1) / kChannelBlock * kChannelBlock),
      per_step_(1.0f / integers.step),
      zero_(static_cast<float>(integers.zero)),
      weight_(static_cast<std::size_t>(groups_ * taps_ * inputs_ * padded_)),
      totals_(static_cast<std::size_t>(groups_ * padded_)),
      scale_(totals_.size()),
      bias_(totals_.size()),
      kernels_(&integer_kernels(isa)) {
  const std::int8_t* value = integers.values.data();
  for (std::int64_t g = 0; g < groups_; ++g) {
    std::int32_t* totals = totals_.data() + g * padded_;
    for (std::int64_t i = 0; i < taps_ * inputs_; ++i) {
      // Of four inputs those of one channel lie side by side.
      std::int8_t* four =
          weight_.data() + (g * taps_ * inputs_ + i / kInputsAtOnce * kInputsAtOnce) * padded_;
      for (std::int64_t o = 0; o < outputs_; ++o, ++value) {
        four[o * kInputsAtOnce + i % kInputsAtOnce] = *value;
        totals[o] += *value;
      }
    }
    for (std::int64_t o = 0; o < outputs_; ++o) {
      const std::int64_t from = g * outputs_ + o, to = g * padded_ + o;
      const double scale =
          static_cast<double>(integers.step) * integers.scale[static_cast<std::size_t>(from)];
      scale_[static_cast<std::size_t>(to)] = static_cast<float>(scale);
      // (q - zero) * w: what the zero adds is the same in every frame.
      bias_[static_cast<std::size_t>(to)] =
          static_cast<float>(bias.values[static_cast<std::size_t>(from)] -
                             scale * static_cast<double>(integers.zero) * totals[o]);
    }
  }
}

void IntegerWeight::quantize(const float* x, std::int64_t rows, std::int64_t channels,
                             std::int64_t stride, std::uint8_t* out) const {
  if (stride == channels) {
    kernels_->quantize({x, out, rows * channels, per_step_, zero_});
    return;
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    kernels_->quantize({x + row * stride, out + row * channels, channels, per_step_, zero_});
  }
}

void IntegerWeight::compute(IntegerConvFrame frame, const std::uint8_t** taps,
                            std::int64_t out_group) const {
  frame.taps = taps;
  frame.x_stride = inputs();
  for (std::int64_t g = 0; g < groups_; ++g) {
    compute_group(frame, g);
    for (std::int64_t k = 0; k < taps_; ++k) taps[k] += inputs_;
    frame.out += out_group;
    if (frame.add != nullptr) frame.add += outputs_;
  }
}

void IntegerWeight::compute_group(IntegerConvFrame frame, std::int64_t group) const {
  frame.k = taps_;
  frame.inputs = inputs_;
  frame.outputs = outputs_;
  frame.weight = weight_.data() + group * taps_ * inputs_ * padded_;
  frame.totals = totals_.data() + group * padded_;
  frame.scale = scale_.data() + group * padded_;
  frame.bias = bias_.data() + group * padded_;
  kernels_->conv(frame);
}

}  // namespace bhar
