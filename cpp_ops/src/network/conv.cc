// Convolutions over time, as temporal_conv's kernels compute them.

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/temporal_conv.h"
#include "layer.h"
#include "memory.h"
#include "tiles.h"

namespace bhar {
namespace {

// Numbers in parts of the frames that are computed in one go: they stay in the second-level cache.
constexpr std::int64_t kMostParts = 128 << 10;

class Conv : public Layer {
 public:
  const char* kind() const override { return "conv"; }

  Conv(ConvLayer layer, const Features& x, const Features& out, const Features* add, Isa isa)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        history_(x_, layer_.weight.shape[0] * layer_.weight.shape[2], looks_back()),
        kernel_(temporal_conv_kernel(isa)),
        pool_(temporal_pool_kernel(isa)) {
    const Shape& weight = layer_.weight.shape;
    // What is split for each tap alone costs as much as is won.
    if (!tiles_pay(weight[2], weight[3], isa) || !(shares() || weight[1] == 1)) return;
    tiles_.emplace(layer_.weight.values, weight, layer_.bias.values);
    const std::int64_t read = shares() ? 1 : weight[1];
    at_once_ = std::max(kMostParts / (read * frame_parts()), std::int64_t{1});
    at_once_ = std::min(at_once_, out_.frames);
  }

  void run(const Run& run) const override {
    if (layer_.zero_edges) std::fill_n(run.scratch, x_.frame_stride(), 0.0f);
    if (tiles_) {
      run_tiles(run);
      return;
    }
    for (std::int64_t t = 0; t < out_.frames; ++t) {
      std::array<const float*, kMaxTaps> taps{};
      const std::int64_t stride = find_in_clip(taps, run, t);
      compute(run, t, taps, stride);
    }
  }

  void step(const Run& run, float* state, std::int64_t index) const override {
    const bool computes = index % layer_.stride == 0;
    if (looks_back() == 0) {
      if (computes) this->run(run);
      return;
    }
    float* newest = run.scratch;
    history_.pack(x_.of(run), newest);
    if (index == 0) history_.begin(newest, state, layer_.zero_edges);
    if (computes) {
      std::array<const float*, kMaxTaps> taps{};
      const std::int64_t stride = find(taps, run, inputs(), [&](std::int64_t offset) {
        return offset == 0 ? newest : history_.at(state, index, -offset);
      });
      if (tiles_) {
        PartTaps parts{};
        split(taps, stride, 0, 1, parts_of(run), parts);
        compute_tiles(run, 0, 1, parts);
      } else {
        compute(run, 0, taps, stride);
      }
    }
    history_.keep(newest, state, index);
  }
  std::int64_t state_size() const override { return looks_back() == 0 ? 0 : history_.size(); }
  std::int64_t looks_back() const override {
    return -std::min(std::int64_t{0},
                     *std::min_element(layer_.offsets.begin(), layer_.offsets.end()));
  }

  std::int64_t multiply_adds() const override {
    return element_count(layer_.weight.shape) * out_.frames * out_.rows;
  }

  void observe(const Run& run, Range& range) const override {
    widen(x_, layer_.weight.shape[0] * layer_.weight.shape[2], run, range);
  }

  std::int64_t scratch_size() const override {
    if (!tiles_) return floats_size();
    const std::int64_t frames = shares() ? at_once_ + span() : at_once_ * layer_.weight.shape[1];
    return align(floats_size()) + tiles_->memory(frames * x_.rows, layer_.weight.shape[0]);
  }

 private:
  using PartTaps = std::array<const std::uint16_t*, kMaxTaps>;

  std::int64_t inputs() const { return layer_.weight.shape[0] * layer_.weight.shape[2]; }
  // Of the zeros beyond a clip, or a stream's newest frame.
  std::int64_t edges_size() const {
    return std::max(layer_.zero_edges ? x_.frame_stride() : 0, history_.frame_size());
  }

  // Of those, and of what lies between two frames.
  std::int64_t floats_size() const {
    const auto samples = static_cast<std::int64_t>(layer_.fractions.size());
    return edges_size() + samples * history_.frame_size();
  }

  // Whether what several taps read has to be split once alone.
  bool shares() const { return layer_.stride == 1 && layer_.fractions.empty(); }
  std::int64_t earliest() const {
    return *std::min_element(layer_.offsets.begin(), layer_.offsets.end());
  }
  // Frames beyond one that the taps read.
  std::int64_t span() const {
    return *std::max_element(layer_.offsets.begin(), layer_.offsets.end()) - earliest();
  }
  std::int64_t row_parts() const { return layer_.weight.shape[0] * tiles_->group_size(); }
  std::int64_t frame_parts() const { return x_.rows * row_parts(); }
  std::uint16_t* parts_of(const Run& run) const {
    return reinterpret_cast<std::uint16_t*>(run.scratch + align(floats_size()));
  }

  void run_tiles(const Run& run) const {
    std::uint16_t* parts = parts_of(run);
    for (std::int64_t t = 0; t < out_.frames; t += at_once_) {
      const std::int64_t frames = std::min(at_once_, out_.frames - t);
      PartTaps taps{};
      if (shares()) {
        for (std::int64_t i = 0; i < frames + span(); ++i) {
          const float* x = tap(x_.of(run), t + earliest() + i, run.scratch);
          split(x, x_.row_stride(), parts + i * frame_parts());
        }
        for (std::size_t k = 0; k < layer_.offsets.size(); ++k) {
          taps[k] = parts + (layer_.offsets[k] - earliest()) * frame_parts();
        }
      } else {
        for (std::int64_t i = 0; i < frames; ++i) {
          std::array<const float*, kMaxTaps> floats{};
          const std::int64_t stride = find_in_clip(floats, run, t + i);
          split(floats, stride, i, frames, parts, taps);
        }
      }
      compute_tiles(run, t, frames, taps);
    }
  }

  void split(const float* frame, std::int64_t x_stride, std::uint16_t* parts) const {
    tiles_->split(frame, x_.rows, layer_.weight.shape[0], x_stride, parts);
  }
  // What each tap reads for frame i of `frames`, all of one tap side by side.
  void split(const std::array<const float*, kMaxTaps>& floats, std::int64_t x_stride,
             std::int64_t i, std::int64_t frames, std::uint16_t* parts, PartTaps& taps) const {
    for (std::size_t k = 0; k < layer_.offsets.size(); ++k, parts += frames * frame_parts()) {
      split(floats[k], x_stride, parts + i * frame_parts());
      taps[k] = parts;
    }
  }

  // `frames` frames of the result from t on.
  void compute_tiles(const Run& run, std::int64_t t, std::int64_t frames, PartTaps& taps) const {
    const std::int64_t groups = layer_.weight.shape[0], outputs = layer_.weight.shape[3];
    TileConvRows rows{};
    rows.taps = taps.data();
    rows.rows = rows.frame_rows = frames * x_.rows;  // frames lie one after the other
    rows.x_stride = row_parts();
    rows.add_stride = add_.row_stride();
    rows.out_stride = out_.row_stride();
    rows.out_block = kChannelBlock;
    rows.slope = layer_.slope;
    for (std::int64_t g = 0; g < groups; ++g) {
      rows.add = layer_.add ? add_.of(run) + t * add_.frame_stride() + g * outputs : nullptr;
      rows.out = out_.of(run) + t * out_.frame_stride() + g * outputs;
      tiles_->compute(rows, g);
      for (std::size_t k = 0; k < layer_.offsets.size(); ++k) taps[k] += tiles_->group_size();
    }
  }

  std::int64_t find_in_clip(std::array<const float*, kMaxTaps>& taps, const Run& run,
                            std::int64_t t) const {
    return find(taps, run, x_.row_stride(), [&](std::int64_t offset) {
      return tap(x_.of(run), t * layer_.stride + offset, run.scratch);
    });
  }

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

  const float* tap(const float* x, std::int64_t t, const float* zeros) const {
    const std::int64_t last = x_.frames - 1;
    if (layer_.zero_edges && (t < 0 || t > last)) return zeros;
    return x + std::clamp(t, std::int64_t{0}, last) * x_.frame_stride();
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

  ConvLayer layer_;
  PartShape x_, out_, add_;
  History history_;
  TemporalConvFn kernel_;
  TemporalPoolFn pool_;
  std::optional<TileWeight> tiles_;
  std::int64_t at_once_ = 1;  // frames, in tiles
};

}  // namespace

std::unique_ptr<Layer> make_conv(ConvLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa) {
  if (layer.integers) return make_integer_conv(std::move(layer), x, out, add, isa);
  return std::make_unique<Conv>(std::move(layer), x, out, add, isa);
}

}  // namespace bhar
