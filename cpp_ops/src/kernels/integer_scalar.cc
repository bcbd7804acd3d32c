// The reference of what is computed in integers: plain sums in the order of their definition.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

std::int32_t sum_of(const IntegerConvFrame& p, std::int64_t row, std::int64_t o) {
  const std::int64_t padded = (p.outputs + kChannelBlock - 1) / kChannelBlock * kChannelBlock;
  const std::int8_t* weight = p.weight + o * kInputsAtOnce;
  std::int32_t sum = 0;
  for (std::int64_t k = 0; k < p.k; ++k) {
    for (std::int64_t c = 0; c < p.inputs; c += kInputsAtOnce, weight += padded * kInputsAtOnce) {
      const std::uint8_t* x = p.taps[k] + row * p.x_stride + c;
      for (std::int64_t i = 0; i < kInputsAtOnce; ++i) sum += x[i] * weight[i];
    }
  }
  return sum;
}

void conv(const IntegerConvFrame& p) {
  for (std::int64_t r = 0; r < p.rows; ++r) {
    for (std::int64_t o = 0; o < p.outputs; ++o) {
      float result = __builtin_fmaf(static_cast<float>(sum_of(p, r, o)), p.scale[o], p.bias[o]);
      if (p.add != nullptr) result += p.add[r * p.add_stride + o];
      p.out[o / kChannelBlock * p.out_block + r * p.out_stride + o % kChannelBlock] =
          result < 0.0f ? p.slope * result : result;
    }
  }
}

void quantize(const QuantizeRow& p) {
  for (std::int64_t i = 0; i < p.count; ++i) {
    const float at = __builtin_fmaf(p.x[i], p.per_step, p.zero);
    const float above = at > 0.0f ? at : 0.0f;  // what a NaN becomes
    p.out[i] = static_cast<std::uint8_t>(__builtin_nearbyintf(above < 255.0f ? above : 255.0f));
  }
}

}  // namespace

const IntegerKernels integer_scalar = {"scalar", conv, quantize};

}  // namespace bhar
