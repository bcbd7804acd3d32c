// The layers that only move and weigh what is there: input, pooling, differences, excitation, and
// the head. They cost little beside the others, and are plain loops over channels, but for pooling:
// compilers make branches of its comparisons, so it has a kernel.

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/temporal_conv.h"
#include "layer.h"

namespace bhar {
namespace {

// Of two, the greater one; NaN if one is.
float greater(float left, float right) { return left > right || left != left ? left : right; }

class Input : public Layer {
 public:
  const char* kind() const override { return "input"; }

  Input(InputLayer layer, const std::vector<Source>& sources, const Features& out)
      : layer_(std::move(layer)), sources_(sources), out_(layer_.out, out) {}

  void run(const Run& run) const override {
    const std::int64_t channels = layer_.scale.shape[1];
    for (std::int64_t row = 0; row < out_.rows; ++row) {
      const InputLayer::Row& from = layer_.rows[static_cast<std::size_t>(row)];
      const Source& source = sources_[static_cast<std::size_t>(from.source)];
      const std::int64_t frame = source.joints * source.persons;
      for (std::int64_t c = 0; c < channels; ++c) {
        const float* x = run.inputs[from.source] + c * run.input_frames * frame +
                         from.joint * source.persons + from.person;
        const auto at = static_cast<std::size_t>(row * channels + c);
        const float scale = layer_.scale.values[at], shift = layer_.shift.values[at];
        float* out = out_.of(run) + row * out_.row_stride() + c;
        for (std::int64_t t = 0; t < out_.frames; ++t) {
          out[t * out_.frame_stride()] = x[t * frame] * scale + shift;
        }
      }
    }
  }

 private:
  InputLayer layer_;
  std::vector<Source> sources_;
  PartShape out_;
};

class Pool : public Layer {
 public:
  const char* kind() const override { return "pool"; }

  Pool(PoolLayer layer, const Features& x, const Features& out, const Features* add, Isa isa)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        history_(x_, channels(), -layer_.first),
        kernel_(temporal_pool_kernel(isa)) {}

  void step(const Run& run, float* state, std::int64_t index) const override {
    float* newest = run.scratch;
    history_.pack(x_.of(run), newest);
    if (index % layer_.stride == 0) {
      // Frames that a stream did not have count for nothing.
      const std::int64_t earlier = std::min(index, history_.frames());
      std::array<const float*, kMaxTaps> frames{newest};
      for (std::int64_t back = 1; back <= earlier; ++back) {
        frames[static_cast<std::size_t>(back)] = history_.at(state, index, back);
      }
      pool(run, 0, frames, earlier + 1, channels());
    }
    history_.keep(newest, state, index);
  }
  std::int64_t state_size() const override { return history_.size(); }
  std::int64_t scratch_size() const override { return history_.frame_size(); }
  std::int64_t looks_back() const override { return -layer_.first; }
  std::int64_t other_values() const override {
    return (layer_.last - layer_.first) * out_.frames * out_.rows * channels();
  }

  void run(const Run& run) const override {
    for (std::int64_t t = 0; t < out_.frames; ++t) {
      const std::int64_t center = t * layer_.stride;
      const std::int64_t first = std::max(center + layer_.first, std::int64_t{0});
      const std::int64_t last = std::min(center + layer_.last, x_.frames - 1);
      std::array<const float*, kMaxTaps> frames{};
      for (std::int64_t i = first; i <= last; ++i) {
        frames[static_cast<std::size_t>(i - first)] = x_.of(run) + i * x_.frame_stride();
      }
      pool(run, t, frames, last - first + 1, x_.row_stride());
    }
  }

 private:
  std::int64_t channels() const { return layer_.scale.shape[0]; }

  // Frame t of the result from `count` frames whose rows are `stride` apart.
  void pool(const Run& run, std::int64_t t, const std::array<const float*, kMaxTaps>& frames,
            std::int64_t count, std::int64_t stride) const {
    std::array<float, kMaxTaps> weights;
    weights.fill(1.0f / static_cast<float>(count));
    TemporalPoolFrame frame{};
    frame.frames = frames.data();
    frame.weights = layer_.mean ? weights.data() : nullptr;
    frame.scale = layer_.scale.values.data();
    frame.shift = layer_.shift.values.data();
    frame.add = layer_.add ? add_.of(run) + t * add_.frame_stride() : nullptr;
    frame.out = out_.of(run) + t * out_.frame_stride();
    frame.count = count;
    frame.rows = out_.rows;
    frame.channels = channels();
    frame.x_stride = stride;
    frame.add_stride = add_.row_stride();
    frame.out_stride = out_.row_stride();
    frame.slope = layer_.slope;
    kernel_(frame);
  }

  PoolLayer layer_;
  PartShape x_, out_, add_;
  History history_;
  TemporalPoolFn kernel_;
};

class Difference : public Layer {
 public:
  const char* kind() const override { return "difference"; }

  Difference(const DifferenceLayer& layer, const Features& x, const Features& out)
      : channels_(layer.channels),
        x_(layer.x, x),
        out_(layer.out, out),
        history_(x_, channels_, 1) {}

  void step(const Run& run, float* state, std::int64_t index) const override {
    float* newest = run.scratch;
    history_.pack(x_.of(run), newest);
    if (index == 0) history_.begin(newest, state, false);
    const float *now = newest, *before = history_.at(state, index, 1);
    for (std::int64_t row = 0; row < out_.rows; ++row) {
      float* out = out_.of(run) + row * out_.row_stride();
      for (std::int64_t c = 0; c < channels_; ++c) out[c] = *now++ - *before++;
    }
    history_.keep(newest, state, index);
  }
  std::int64_t state_size() const override { return history_.size(); }
  std::int64_t scratch_size() const override { return history_.frame_size(); }
  std::int64_t looks_back() const override { return 1; }

  void run(const Run& run) const override {
    for (std::int64_t t = 0; t < out_.frames; ++t) {
      for (std::int64_t row = 0; row < out_.rows; ++row) {
        const float* x = x_.of(run) + t * x_.frame_stride() + row * x_.row_stride();
        const float* before = t == 0 ? x : x - x_.frame_stride();
        float* out = out_.of(run) + t * out_.frame_stride() + row * out_.row_stride();
        for (std::int64_t c = 0; c < channels_; ++c) out[c] = x[c] - before[c];
      }
    }
  }

 private:
  std::int64_t channels_;
  PartShape x_, out_;
  History history_;
};

// out[o] = bias[o] + sum_i x[i] * weight[i, o]
void multiply(const float* x, const Array& weight, const Array& bias, float* out) {
  const std::int64_t inputs = weight.shape[0], outputs = weight.shape[1];
  std::copy_n(bias.values.data(), outputs, out);
  for (std::int64_t i = 0; i < inputs; ++i) {
    const float* row = weight.values.data() + i * outputs;
    for (std::int64_t o = 0; o < outputs; ++o) out[o] += x[i] * row[o];
  }
}

class Excite : public Layer {
 public:
  const char* kind() const override { return "excite"; }

  Excite(ExciteLayer layer, const Features& x, const Features& out)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        persons_(x.persons),
        joints_(x.joints) {}

  void run(const Run& run) const override {
    float* mean = run.scratch;
    for (std::int64_t person = 0; person < persons_; ++person) {
      mean_of(run, person, mean);
      weigh(run, person, mean, mean + channels());
    }
  }

  void step(const Run& run, float* state, std::int64_t index) const override {
    for (std::int64_t person = 0; person < persons_; ++person, state += channels()) {
      mean_of(run, person, run.scratch);
      run_along(run.scratch, channels(), index, layer_.window, state);
      weigh(run, person, state, run.scratch);
    }
  }
  std::int64_t state_size() const override { return persons_ * channels(); }

  std::int64_t multiply_adds() const override {
    return 2 * persons_ * layer_.expand.shape[0] * layer_.expand.shape[1];
  }
  std::int64_t scratch_size() const override { return 2 * channels() + layer_.expand.shape[1]; }

 private:
  std::int64_t channels() const { return layer_.expand.shape[0]; }

  void mean_of(const Run& run, std::int64_t person, float* mean) const {
    mean_of_rows(x_.of(run) + person * joints_ * x_.row_stride(), x_.frames, x_.frame_stride(),
                 joints_, x_.row_stride(), channels(), mean);
  }

  // gates: scratch memory for C + H floats.
  void weigh(const Run& run, std::int64_t person, const float* mean, float* gates) const {
    const std::int64_t hidden = layer_.expand.shape[1];
    float* wide = gates + channels();
    multiply(mean, layer_.expand, layer_.expand_bias, wide);
    for (std::int64_t h = 0; h < hidden; ++h) wide[h] = wide[h] < 0.0f ? 0.0f : wide[h];
    multiply(wide, layer_.reduce, layer_.reduce_bias, gates);
    for (std::int64_t c = 0; c < channels(); ++c) gates[c] = 1.0f / (1.0f + std::exp(-gates[c]));
    const float* x = x_.of(run) + person * joints_ * x_.row_stride();
    float* out = out_.of(run) + person * joints_ * out_.row_stride();
    for (std::int64_t t = 0; t < x_.frames; ++t) {
      for (std::int64_t v = 0; v < joints_; ++v) {
        const float* from = x + t * x_.frame_stride() + v * x_.row_stride();
        float* to = out + t * out_.frame_stride() + v * out_.row_stride();
        for (std::int64_t c = 0; c < channels(); ++c) to[c] = from[c] * gates[c];
      }
    }
  }

  ExciteLayer layer_;
  PartShape x_, out_;
  std::int64_t persons_, joints_;
};

class Classify : public Layer {
 public:
  const char* kind() const override { return "classify"; }

  Classify(ClassifyLayer layer, const Features& x, std::int64_t head, std::int64_t embedded)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        head_(head),
        embedded_(embedded),
        persons_(x.persons),
        joints_(x.joints) {}

  void run(const Run& run) const override {
    float* means = run.scratch;
    for (std::int64_t person = 0; person < persons_; ++person) {
      mean_of(run, person, means + person * channels());
    }
    classify(run, means);
  }

  void step(const Run& run, float* state, std::int64_t index) const override {
    for (std::int64_t person = 0; person < persons_; ++person) {
      mean_of(run, person, run.scratch);
      run_along(run.scratch, channels(), index, layer_.window, state + person * channels());
    }
    classify(run, state);
  }
  std::int64_t state_size() const override { return persons_ * channels(); }

  std::int64_t multiply_adds() const override {
    return static_cast<std::int64_t>(layer_.weight.values.size());
  }
  std::int64_t scratch_size() const override { return (persons_ + 1) * channels(); }

 private:
  std::int64_t channels() const { return layer_.weight.shape[0]; }

  void mean_of(const Run& run, std::int64_t person, float* mean) const {
    mean_of_rows(x_.of(run) + person * joints_ * x_.row_stride(), x_.frames, x_.frame_stride(),
                 joints_, x_.row_stride(), channels(), mean);
  }

  // means: [persons, C].
  void classify(const Run& run, const float* means) const {
    float* pooled = run.scratch + persons_ * channels();
    std::copy_n(means, channels(), pooled);
    for (std::int64_t person = 1; person < persons_; ++person) {
      means += channels();
      for (std::int64_t c = 0; c < channels(); ++c) {
        pooled[c] = layer_.greatest_person ? greater(means[c], pooled[c]) : pooled[c] + means[c];
      }
    }
    if (!layer_.greatest_person) {
      for (std::int64_t c = 0; c < channels(); ++c) pooled[c] /= static_cast<float>(persons_);
    }
    if (run.embedding != nullptr) std::copy_n(pooled, channels(), run.embedding + embedded_);
    multiply(pooled, layer_.weight, layer_.bias, run.logits + head_ * layer_.weight.shape[1]);
  }

  ClassifyLayer layer_;
  PartShape x_;
  std::int64_t head_, embedded_, persons_, joints_;
};

}  // namespace

void mean_of_rows(const float* x, std::int64_t frames, std::int64_t frame_stride, std::int64_t rows,
                  std::int64_t row_stride, std::int64_t channels, float* means) {
  std::fill_n(means, channels, 0.0f);
  for (std::int64_t t = 0; t < frames; ++t) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* from = x + t * frame_stride + row * row_stride;
      for (std::int64_t c = 0; c < channels; ++c) means[c] += from[c];
    }
  }
  const auto count = static_cast<float>(frames * rows);
  for (std::int64_t c = 0; c < channels; ++c) means[c] /= count;
}

void run_along(const float* x, std::int64_t count, std::int64_t index, std::int64_t window,
               float* mean) {
  if (index == 0) {
    std::copy_n(x, count, mean);
    return;
  }
  const auto frames = static_cast<float>(std::min(index + 1, window));
  for (std::int64_t i = 0; i < count; ++i) mean[i] += (x[i] - mean[i]) / frames;
}

namespace {

void count(const float* x, std::int64_t channels, Range& range) {
  const float bins_each = static_cast<float>(range.bins) / (2 * range.limit);
  const auto last = static_cast<float>(range.bins - 1);
  for (std::int64_t i = 0; i < channels; ++i) {
    const float bin = (x[i] + range.limit) * bins_each;
    // In this order NaN becomes the first one.
    ++range.counts[static_cast<std::int64_t>(std::min(std::max(0.0f, bin), last))];
  }
}

}  // namespace

void widen(const PartShape& part, std::int64_t channels, const Run& run, Range& range) {
  for (std::int64_t row = 0; row < part.frames * part.rows; ++row) {
    const float* x = part.of(run) + row * part.row_stride();
    const auto [least, most] = std::minmax_element(x, x + channels);
    range.least = std::min(range.least, *least);
    range.most = std::max(range.most, *most);
    if (range.counts != nullptr) count(x, channels, range);
  }
}

void History::pack(const float* x, float* packed) const {
  for (std::int64_t row = 0; row < part_.rows; ++row) {
    std::copy_n(x + row * part_.row_stride(), channels_, packed + row * channels_);
  }
}

void History::begin(const float* packed, float* state, bool zeros) const {
  for (std::int64_t i = 0; i < frames_; ++i) {
    float* frame = state + i * frame_size();
    zeros ? std::fill_n(frame, frame_size(), 0.0f) : std::copy_n(packed, frame_size(), frame);
  }
}

void History::keep(const float* packed, float* state, std::int64_t index) const {
  if (frames_ > 0) std::copy_n(packed, frame_size(), state + index % frames_ * frame_size());
}

std::unique_ptr<Layer> make_input(InputLayer layer, const std::vector<Source>& sources,
                                  const Features& out) {
  return std::make_unique<Input>(std::move(layer), sources, out);
}

std::unique_ptr<Layer> make_pool(PoolLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa) {
  return std::make_unique<Pool>(std::move(layer), x, out, add, isa);
}

std::unique_ptr<Layer> make_difference(const DifferenceLayer& layer, const Features& x,
                                       const Features& out) {
  return std::make_unique<Difference>(layer, x, out);
}

std::unique_ptr<Layer> make_excite(ExciteLayer layer, const Features& x, const Features& out) {
  return std::make_unique<Excite>(std::move(layer), x, out);
}

std::unique_ptr<Layer> make_classify(ClassifyLayer layer, const Features& x, std::int64_t head,
                                     std::int64_t embedded) {
  return std::make_unique<Classify>(std::move(layer), x, head, embedded);
}

}  // namespace bhar
