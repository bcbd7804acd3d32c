// Convolutions over time, as temporal_conv's kernels compute them.

#include <algorithm>
#include <array>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/temporal_conv.h"
#include "float_conv.h"
#include "layer.h"
#include "tiles.h"

namespace bhar {
namespace {

class Conv : public FloatConv {
 public:
  Conv(ConvLayer layer, const Features& x, const Features& out, const Features* add, Isa isa)
      : FloatConv(std::move(layer), x, out, add),
        kernel_(temporal_conv_kernel(isa)),
        pool_(temporal_pool_kernel(isa)) {}

  void run(const Run& run) const override {
    write_edges(run);
    for (std::int64_t t = 0; t < out_.frames; ++t) {
      std::array<const float*, kMaxTaps> taps{};
      const std::int64_t stride = find(taps, run, x_.row_stride(), [&](std::int64_t offset) {
        return frame_at(run, t * layer_.stride + offset);
      });
      compute(run, t, taps, stride);
    }
  }

  std::int64_t scratch_size() const override {
    const auto samples = static_cast<std::int64_t>(layer_.fractions.size());
    return edges_size() + samples * history_.frame_size();
  }
  std::int64_t other_values() const override {
    return static_cast<std::int64_t>(layer_.fractions.size()) * out_.frames * history_.frame_size();
  }

 protected:
  void compute_newest(const Run& run, const float* state, std::int64_t index) const override {
    std::array<const float*, kMaxTaps> taps{};
    const std::int64_t stride = find(taps, run, inputs(), [&](std::int64_t offset) {
      return frame_at(run, state, index, offset);
    });
    compute(run, 0, taps, stride);
  }

 private:
  // What the taps read of frames, in rows `x_stride` apart, which frame_at(offset) finds; what lies
  // between two of them is made in scratch memory. Returns how far apart the rows of taps are.
  template <class FrameAt>
  std::int64_t find(std::array<const float*, kMaxTaps>& taps, const Run& run, std::int64_t x_stride,
                    const FrameAt& frame_at) const {
    float* sample = run.scratch + edges_size();
    for (std::size_t k = 0; k < layer_.offsets.size(); ++k) {
      taps[k] = frame_at(layer_.offsets[k]);
      if (layer_.fractions.empty()) continue;
      const float fraction = layer_.fractions[k];
      const float* next = fraction > 0.0f ? frame_at(layer_.offsets[k] + 1) : nullptr;
      interpolate({taps[k], next}, fraction, x_stride, sample);
      taps[k] = sample;
      sample += history_.frame_size();
    }
    return layer_.fractions.empty() ? x_stride : inputs();
  }

  void interpolate(const std::array<const float*, 2>& frames, float fraction, std::int64_t x_stride,
                   float* sample) const {
    const std::array<float, 2> weights{1.0f - fraction, fraction};
    TemporalPoolFrame frame{};
    frame.frames = frames.data();
    frame.weights = weights.data();
    frame.out = sample;
    frame.count = fraction > 0.0f ? 2 : 1;
    frame.rows = x_.rows;
    frame.channels = frame.out_stride = inputs();
    frame.x_stride = x_stride;
    frame.slope = 1.0f;
    pool_(frame);
  }

  // Frame t of the result from the frames of its taps, in groups of channels.
  void compute(const Run& run, std::int64_t t, std::array<const float*, kMaxTaps>& taps,
               std::int64_t x_stride) const {
    const Shape& weight = layer_.weight.shape;
    const std::int64_t groups = weight[0], inputs = weight[2], outputs = weight[3];
    TemporalConvFrame frame{};
    frame.taps = taps.data();
    frame.k = weight[1];
    frame.rows = x_.rows;
    frame.inputs = inputs;
    frame.outputs = outputs;
    frame.x_stride = x_stride;
    frame.add_stride = add_.row_stride();
    frame.out_stride = out_.row_stride();
    frame.out_block = kChannelBlock;
    frame.slope = layer_.slope;
    for (std::int64_t g = 0; g < groups; ++g) {
      frame.weight = layer_.weight.values.data() + g * frame.k * inputs * outputs;
      frame.bias = layer_.bias.values.data() + g * outputs;
      frame.add = layer_.add ? add_.of(run) + t * add_.frame_stride() + g * outputs : nullptr;
      frame.out = out_.of(run) + t * out_.frame_stride() + g * outputs;
      kernel_(frame);
      for (std::int64_t k = 0; k < frame.k; ++k) taps[static_cast<std::size_t>(k)] += inputs;
    }
  }

  TemporalConvFn kernel_;
  TemporalPoolFn pool_;
};

}  // namespace

std::unique_ptr<Layer> make_conv(ConvLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa) {
  if (layer.integers) return make_integer_conv(std::move(layer), x, out, add, isa);
  // What lies between two frames is another number for each tap: splitting it costs what is won.
  if (tiles_pay(layer.weight.shape[2], layer.weight.shape[3], isa) && layer.fractions.empty()) {
    return make_tile_conv(std::move(layer), x, out, add);
  }
  return std::make_unique<Conv>(std::move(layer), x, out, add, isa);
}

}  // namespace bhar
