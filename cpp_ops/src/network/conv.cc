// Convolutions over time, as temporal_conv's kernels compute them.

#include <algorithm>
#include <array>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/temporal_conv.h"
#include "layer.h"

namespace bhar {
namespace {

class Conv : public Layer {
 public:
  Conv(ConvLayer layer, const Features& x, const Features& out, const Features* add, Isa isa)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        blocked_(out.blocked),
        kernel_(temporal_conv_kernel(isa)) {}

  void run(const Run& run) const override {
    const Shape& weight = layer_.weight.shape;
    const std::int64_t groups = weight[0], inputs = weight[2], outputs = weight[3];
    std::array<const float*, kMaxTaps> taps{};
    TemporalConvFrame frame{};
    frame.taps = taps.data();
    frame.k = weight[1];
    frame.rows = x_.rows;
    frame.inputs = inputs;
    frame.outputs = outputs;
    frame.x_stride = x_.row_stride();
    frame.add_stride = add_.row_stride();
    frame.out_stride = blocked_ ? kChannelBlock : out_.row_stride();
    frame.out_block = blocked_ ? out_.frames * out_.rows * kChannelBlock : kChannelBlock;
    frame.slope = layer_.slope;
    const float* x = x_.of(run);
    if (layer_.zero_edges) std::fill_n(run.scratch, x_.frame_stride(), 0.0f);
    for (std::int64_t t = 0; t < out_.frames; ++t) {
      for (std::int64_t g = 0; g < groups; ++g) {
        for (std::int64_t k = 0; k < frame.k; ++k) {
          taps[static_cast<std::size_t>(k)] = tap(x, t, k, run.scratch) + g * inputs;
        }
        frame.weight = layer_.weight.values.data() + g * frame.k * inputs * outputs;
        frame.bias = layer_.bias.values.data() + g * outputs;
        frame.add = layer_.add ? add_.of(run) + t * add_.frame_stride() + g * outputs : nullptr;
        const std::int64_t channel = out_.channel + g * outputs;
        frame.out = run.at(out_.features) + (blocked_ ? channel / kChannelBlock * frame.out_block +
                                                            t * out_.rows * kChannelBlock
                                                      : t * out_.frame_stride() + channel);
        kernel_(frame);
      }
    }
  }

  std::int64_t multiply_adds() const override {
    return static_cast<std::int64_t>(layer_.weight.values.size()) * out_.frames * out_.rows;
  }

  std::int64_t scratch_size() const override { return layer_.zero_edges ? x_.frame_stride() : 0; }

 private:
  const float* tap(const float* x, std::int64_t t, std::int64_t k, const float* zeros) const {
    const std::int64_t last = x_.frames - 1;
    const std::int64_t at = t * layer_.stride + layer_.offsets[static_cast<std::size_t>(k)];
    if (layer_.zero_edges && (at < 0 || at > last)) return zeros;
    return x + std::clamp(at, std::int64_t{0}, last) * x_.frame_stride();
  }

  ConvLayer layer_;
  PartShape x_, out_, add_;
  bool blocked_;
  TemporalConvFn kernel_;
};

}  // namespace

std::unique_ptr<Layer> make_conv(ConvLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa) {
  return std::make_unique<Conv>(std::move(layer), x, out, add, isa);
}

}  // namespace bhar
