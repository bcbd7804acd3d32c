// Convolutions over time in tiles: rows of many frames in one go, split in parts once for all taps.

#include <algorithm>
#include <array>
#include <utility>

#include "bhar_ops/temporal_conv.h"
#include "layer.h"
#include "memory.h"
#include "tiles.h"

namespace bhar {
namespace {

// Numbers in parts of the frames, or the rows, that are computed in one go. Frames that several
// taps read stay in the second-level cache; rows that one reads in the first.
constexpr std::int64_t kMostInFrames = 96 << 10, kMostInRows = 48 << 10;

class TileConv : public Layer {
 public:
  const char* kind() const override { return "conv"; }

  TileConv(ConvLayer layer, const Features& x, const Features& out, const Features* add)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        groups_(layer_.weight.shape[0]),
        weight_(layer_.weight.values, layer_.weight.shape, layer_.bias.values),
        history_(x_, groups_ * layer_.weight.shape[2], looks_back()) {
    const auto [first, last] = std::minmax_element(layer_.offsets.begin(), layer_.offsets.end());
    earliest_ = *first;
    span_ = *last - *first;
    frames_ = std::clamp(kMostInFrames / frame_parts(), std::int64_t{1}, out_.frames);
    rows_ =
        std::max(kMostInRows / row_parts() / kTileRowsAtOnce, std::int64_t{1}) * kTileRowsAtOnce;
    if (is_pointwise()) layer_.zero_edges = false;
  }

  void run(const Run& run) const override {
    if (is_pointwise()) {
      run_rows(run);
      return;
    }
    if (layer_.zero_edges) std::fill_n(run.scratch, x_.frame_stride(), 0.0f);
    std::uint16_t* parts = parts_of(run);
    for (std::int64_t t = 0; t < out_.frames; t += frames_) {
      const std::int64_t frames = std::min(frames_, out_.frames - t);
      Taps taps{};
      for (std::size_t k = 0; k < taps_of_frame(); ++k) {
        taps[k] = parts + place(layer_.offsets[k] - earliest_) * frame_parts();
      }
      for (std::int64_t i = 0; i < (frames - 1) * layer_.stride + span_ + 1; ++i) {
        if (!is_read(i)) continue;
        const float* x = frame_of(run, t * layer_.stride + earliest_ + i);
        split(x, x_.rows, x_.row_stride(), parts + place(i) * frame_parts());
      }
      compute(run, t * x_.rows, frames * x_.rows, taps);
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
      Taps taps{};
      std::uint16_t* parts = parts_of(run);
      for (std::size_t k = 0; k < taps_of_frame(); ++k, parts += frame_parts()) {
        const std::int64_t back = -layer_.offsets[k];
        const float* frame = back == 0 ? newest : history_.at(state, index, back);
        split(frame, x_.rows, groups_ * layer_.weight.shape[2], parts);
        taps[k] = parts;
      }
      compute(run, 0, x_.rows, taps);
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
    widen(x_, groups_ * layer_.weight.shape[2], run, range);
  }

  std::int64_t scratch_size() const override {
    const std::int64_t places =
        layer_.stride * in_phase() + static_cast<std::int64_t>(taps_of_frame());
    return align(edges_size()) + weight_.memory(std::max(places * x_.rows, rows_), groups_);
  }

 private:
  using Taps = std::array<const std::uint16_t*, kMaxTaps>;

  std::size_t taps_of_frame() const { return layer_.offsets.size(); }
  std::int64_t row_parts() const { return groups_ * weight_.group_size(); }
  std::int64_t frame_parts() const { return x_.rows * row_parts(); }
  // Of the zeros beyond a clip, or a stream's newest frame.
  std::int64_t edges_size() const {
    return std::max(layer_.zero_edges ? x_.frame_stride() : 0, history_.frame_size());
  }
  std::uint16_t* parts_of(const Run& run) const {
    return reinterpret_cast<std::uint16_t*>(run.scratch + align(edges_size()));
  }
  // Whether every row of x alone makes the same row of the result.
  bool is_pointwise() const {
    return layer_.stride == 1 && layer_.offsets.size() == 1 && layer_.offsets[0] == 0;
  }

  const float* frame_of(const Run& run, std::int64_t t) const {
    const std::int64_t last = x_.frames - 1;
    if (layer_.zero_edges && (t < 0 || t > last)) return run.scratch;
    return x_.of(run) + std::clamp(t, std::int64_t{0}, last) * x_.frame_stride();
  }

  // Where the i-th frame from the first one on lies that is read: those that one tap reads, a
  // stride apart, lie side by side.
  std::int64_t place(std::int64_t i) const {
    return i % layer_.stride * in_phase() + i / layer_.stride;
  }
  std::int64_t in_phase() const { return frames_ + span_ / layer_.stride; }
  bool is_read(std::int64_t i) const {
    return std::any_of(layer_.offsets.begin(), layer_.offsets.end(), [&](std::int64_t offset) {
      return (i - (offset - earliest_)) % layer_.stride == 0;
    });
  }

  void run_rows(const Run& run) const {
    const std::int64_t all = x_.frames * x_.rows;
    std::uint16_t* parts = parts_of(run);
    for (std::int64_t row = 0; row < all; row += rows_) {
      const std::int64_t rows = std::min(rows_, all - row);
      split(x_.of(run) + row * x_.row_stride(), rows, x_.row_stride(), parts);
      Taps taps{parts};
      compute(run, row, rows, taps);
    }
  }

  void split(const float* x, std::int64_t rows, std::int64_t x_stride, std::uint16_t* parts) const {
    weight_.split(x, rows, groups_, x_stride, parts);
  }

  // `rows` rows of the result, of one frame after the other, from `row` on.
  void compute(const Run& run, std::int64_t row, std::int64_t rows, Taps& taps) const {
    const std::int64_t outputs = layer_.weight.shape[3];
    TileConvRows conv{};
    conv.taps = taps.data();
    conv.rows = rows;
    conv.x_stride = row_parts();
    conv.add_stride = add_.row_stride();
    conv.out_stride = out_.row_stride();
    conv.out_block = kChannelBlock;
    conv.slope = layer_.slope;
    for (std::int64_t g = 0; g < groups_; ++g) {
      if (layer_.add) conv.add = add_.of(run) + row * add_.row_stride() + g * outputs;
      conv.out = out_.of(run) + row * out_.row_stride() + g * outputs;
      weight_.compute(conv, g);
      for (std::size_t k = 0; k < taps_of_frame(); ++k) taps[k] += weight_.group_size();
    }
  }

  ConvLayer layer_;
  PartShape x_, out_, add_;
  std::int64_t groups_;
  TileWeight weight_;
  History history_;
  std::int64_t earliest_, span_;
  std::int64_t frames_, rows_;  // in one go
};

}  // namespace

std::unique_ptr<Layer> make_tile_conv(ConvLayer layer, const Features& x, const Features& out,
                                      const Features* add) {
  return std::make_unique<TileConv>(std::move(layer), x, out, add);
}

}  // namespace bhar
