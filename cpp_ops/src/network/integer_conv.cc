// Convolutions over time in integers: frames become bytes, and a stream keeps these.

#include <algorithm>
#include <array>
#include <utility>

#include "bhar_ops/temporal_conv.h"
#include "integers.h"
#include "layer.h"

namespace bhar {
namespace {

class IntegerConv : public Layer {
 public:
  const char* kind() const override { return "conv"; }

  IntegerConv(ConvLayer layer, const Features& x, const Features& out, const Features* add, Isa isa)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        weight_(*layer_.integers, layer_.weight.shape, layer_.bias, isa),
        history_(x_, weight_.inputs() / kBytes, looks_back()) {
    layer_.integers.reset();  // packed
  }

  void run(const Run& run) const override {
    // Only what is read: of a strided 1x1 convolution every stride-th frame.
    const std::int64_t every =
        layer_.offsets.size() == 1 && looks_around() == 0 ? layer_.stride : 1;
    std::uint8_t* bytes = bytes_of(run);
    for (std::int64_t t = 0; t < x_.frames; t += every) {
      quantize(x_.of(run) + t * x_.frame_stride(), bytes + t * frame_size());
    }
    const std::uint8_t* zeros = bytes + x_.frames * frame_size();
    if (layer_.zero_edges)
      std::fill_n(bytes + x_.frames * frame_size(), frame_size(), weight_.zero());
    for (std::int64_t t = 0; t < out_.frames; ++t) {
      std::array<const std::uint8_t*, kMaxTaps> taps{};
      for (std::size_t k = 0; k < layer_.offsets.size(); ++k) {
        const std::int64_t at = t * layer_.stride + layer_.offsets[k], last = x_.frames - 1;
        const bool outside = at < 0 || at > last;
        taps[k] = layer_.zero_edges && outside
                      ? zeros
                      : bytes + std::clamp(at, std::int64_t{0}, last) * frame_size();
      }
      compute(run, t, taps);
    }
  }

  void step(const Run& run, float* state, std::int64_t index) const override {
    const bool computes = index % layer_.stride == 0;
    if (!computes && looks_back() == 0) return;
    std::uint8_t* newest = bytes_of(run);
    if (index == 0 && layer_.zero_edges) {
      std::fill_n(newest, frame_size(), weight_.zero());
      history_.begin(run.scratch, state, false);
    }
    quantize(x_.of(run), newest);
    if (index == 0 && !layer_.zero_edges) history_.begin(run.scratch, state, false);
    if (computes) {
      std::array<const std::uint8_t*, kMaxTaps> taps{};
      for (std::size_t k = 0; k < layer_.offsets.size(); ++k) {
        const std::int64_t back = -layer_.offsets[k];
        const float* frame = back == 0 ? run.scratch : history_.at(state, index, back);
        taps[k] = reinterpret_cast<const std::uint8_t*>(frame);
      }
      compute(run, 0, taps);
    }
    history_.keep(run.scratch, state, index);
  }

  std::int64_t state_size() const override { return history_.size(); }
  bool state_packs() const override { return false; }  // it is of bytes
  std::int64_t looks_back() const override {
    return -std::min(std::int64_t{0},
                     *std::min_element(layer_.offsets.begin(), layer_.offsets.end()));
  }
  std::int64_t multiply_adds() const override {
    return element_count(layer_.weight.shape) * out_.frames * out_.rows;
  }
  std::int64_t scratch_size() const override { return (x_.frames + 1) * frame_size() / kBytes; }

 private:
  static constexpr std::int64_t kBytes = sizeof(float);

  std::int64_t looks_around() const {
    return std::max(looks_back(), *std::max_element(layer_.offsets.begin(), layer_.offsets.end()));
  }
  // Inputs come in fours: a frame is a whole number of floats.
  std::int64_t frame_size() const { return x_.rows * weight_.inputs(); }
  std::uint8_t* bytes_of(const Run& run) const {
    return reinterpret_cast<std::uint8_t*>(run.scratch);
  }
  void quantize(const float* x, std::uint8_t* bytes) const {
    weight_.quantize(x, x_.rows, weight_.inputs(), x_.row_stride(), bytes);
  }

  // Frame t of the result from the frames of its taps.
  void compute(const Run& run, std::int64_t t,
               std::array<const std::uint8_t*, kMaxTaps>& taps) const {
    IntegerConvFrame frame{};
    frame.rows = x_.rows;
    frame.add = layer_.add ? add_.of(run) + t * add_.frame_stride() : nullptr;
    frame.out = out_.of(run) + t * out_.frame_stride();
    frame.add_stride = add_.row_stride();
    frame.out_stride = out_.row_stride();
    frame.out_block = kChannelBlock;
    frame.slope = layer_.slope;
    weight_.compute(frame, taps.data(), layer_.weight.shape[3]);
  }

  ConvLayer layer_;
  PartShape x_, out_, add_;
  IntegerWeight weight_;
  History history_;
};

}  // namespace

std::unique_ptr<Layer> make_integer_conv(ConvLayer layer, const Features& x, const Features& out,
                                         const Features* add, Isa isa) {
  return std::make_unique<IntegerConv>(std::move(layer), x, out, add, isa);
}

}  // namespace bhar
