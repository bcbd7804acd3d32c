// The reference: the plain sum in the order of its definition.

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

void run(const TemporalConvFrame& p) {
  for (std::int64_t r = 0; r < p.rows; ++r) {
    for (std::int64_t o = 0; o < p.outputs; ++o) {
      float sum = p.bias[o] + (p.add == nullptr ? 0.0f : p.add[r * p.add_stride + o]);
      for (std::int64_t k = 0; k < p.k; ++k) {
        for (std::int64_t i = 0; i < p.inputs; ++i) {
          sum += p.taps[k][r * p.x_stride + i] * p.weight[(k * p.inputs + i) * p.outputs + o];
        }
      }
      p.out[o / kChannelBlock * p.out_block + r * p.out_stride + o % kChannelBlock] =
          sum < 0.0f ? p.slope * sum : sum;
    }
  }
}

}  // namespace

const TemporalConvFn temporal_conv_f32_scalar = run;

}  // namespace bhar
