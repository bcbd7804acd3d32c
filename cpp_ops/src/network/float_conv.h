// Convolutions over time of floats, however they are computed: what they read, and a stream's
// state.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "layer.h"

namespace bhar {

class FloatConv : public Layer {
 public:
  FloatConv(ConvLayer layer, const Features& x, const Features& out, const Features* add)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        history_(x_, inputs(), looks_back()) {}

  const char* kind() const override { return "conv"; }

  void step(const Run& run, float* state, std::int64_t index) const override {
    const bool computes = index % layer_.stride == 0;
    if (looks_back() == 0) {
      if (computes) this->run(run);
      return;
    }
    float* newest = run.scratch;
    history_.pack(x_.of(run), newest);
    if (index == 0) history_.begin(newest, state, layer_.zero_edges);
    if (computes) compute_newest(run, state, index);
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
  void observe(const Run& run, Range& range) const override { widen(x_, inputs(), run, range); }

 protected:
  // Frame `index` of a stream, which lies packed where the scratch memory begins.
  virtual void compute_newest(const Run& run, const float* state, std::int64_t index) const = 0;

  std::int64_t inputs() const { return layer_.weight.shape[0] * layer_.weight.shape[2]; }
  // Of the zeros beyond a clip, or a stream's newest frame: where the scratch memory begins.
  std::int64_t edges_size() const {
    return std::max(layer_.zero_edges ? x_.frame_stride() : 0, history_.frame_size());
  }
  void write_edges(const Run& run) const {
    if (layer_.zero_edges) std::fill_n(run.scratch, x_.frame_stride(), 0.0f);
  }
  // Of a clip, also beyond its ends.
  const float* frame_at(const Run& run, std::int64_t t) const {
    const std::int64_t last = x_.frames - 1;
    if (layer_.zero_edges && (t < 0 || t > last)) return run.scratch;
    return x_.of(run) + std::clamp(t, std::int64_t{0}, last) * x_.frame_stride();
  }
  // Of a stream, `offset` frames from the newest one.
  const float* frame_at(const Run& run, const float* state, std::int64_t index,
                        std::int64_t offset) const {
    return offset == 0 ? run.scratch : history_.at(state, index, -offset);
  }

  ConvLayer layer_;
  PartShape x_, out_, add_;
  History history_;
};

}  // namespace bhar
