// Convolutions over time in tiles: rows of many frames in one go, split in parts once for all taps.

#include <algorithm>
#include <array>
#include <utility>

#include "bhar_ops/temporal_conv.h"
#include "float_conv.h"
#include "layer.h"
#include "memory.h"
#include "tiles.h"

namespace bhar {
namespace {

// Numbers in parts of the frames, or the rows, that are computed in one go. Frames that several
// taps read stay in the second-level cache; rows that one reads in the first.
constexpr std::int64_t kMostInFrames = 96 << 10, kMostInRows = 48 << 10;

class TileConv : public FloatConv {
 public:
  TileConv(ConvLayer layer, const Features& x, const Features& out, const Features* add)
      : FloatConv(std::move(layer), x, out, add),
        groups_(layer_.weight.shape[0]),
        weight_(layer_.weight.values, layer_.weight.shape, layer_.bias.values) {
    layer_.weight.values = {};  // packed
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
    write_edges(run);
    std::uint16_t* parts = parts_of(run);
    for (std::int64_t t = 0; t < out_.frames; t += frames_) {
      const std::int64_t frames = std::min(frames_, out_.frames - t);
      Taps taps{};
      for (std::size_t k = 0; k < taps_of_frame(); ++k) {
        taps[k] = parts + place(layer_.offsets[k] - earliest_) * frame_parts();
      }
      for (std::int64_t i = 0; i < (frames - 1) * layer_.stride + span_ + 1; ++i) {
        if (!is_read(i)) continue;
        const float* x = frame_at(run, t * layer_.stride + earliest_ + i);
        split(x, x_.rows, x_.row_stride(), parts + place(i) * frame_parts());
      }
      compute(run, t * x_.rows, frames * x_.rows, taps);
    }
  }

  std::int64_t scratch_size() const override {
    const std::int64_t places =
        layer_.stride * in_phase() + static_cast<std::int64_t>(taps_of_frame());
    return align(edges_size()) + weight_.memory(std::max(places * x_.rows, rows_), groups_);
  }

 protected:
  void compute_newest(const Run& run, const float* state, std::int64_t index) const override {
    Taps taps{};
    std::uint16_t* parts = parts_of(run);
    for (std::size_t k = 0; k < taps_of_frame(); ++k, parts += frame_parts()) {
      split(frame_at(run, state, index, layer_.offsets[k]), x_.rows, inputs(), parts);
      taps[k] = parts;
    }
    compute(run, 0, x_.rows, taps);
  }

 private:
  using Taps = std::array<const std::uint16_t*, kMaxTaps>;

  std::size_t taps_of_frame() const { return layer_.offsets.size(); }
  std::int64_t row_parts() const { return groups_ * weight_.group_size(); }
  std::int64_t frame_parts() const { return x_.rows * row_parts(); }
  std::uint16_t* parts_of(const Run& run) const {
    return reinterpret_cast<std::uint16_t*>(run.scratch + align(edges_size()));
  }
  // Whether every row of x alone makes the same row of the result.
  bool is_pointwise() const {
    return layer_.stride == 1 && layer_.offsets.size() == 1 && layer_.offsets[0] == 0;
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

  std::int64_t groups_;
  TileWeight weight_;
  std::int64_t earliest_, span_;
  std::int64_t frames_, rows_;  // in one go
};

}  // namespace

std::unique_ptr<Layer> make_tile_conv(ConvLayer layer, const Features& x, const Features& out,
                                      const Features* add) {
  return std::make_unique<TileConv>(std::move(layer), x, out, add);
}

}  // namespace bhar
