// The layers of streams that look at each other joint by joint: attention over all joints and
// frames, and what goes before and behind it.

#include "../attention.h"

#include <algorithm>
#include <array>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "layer.h"

namespace bhar {
namespace {

class Normalize : public Layer {
 public:
  const char* kind() const override { return "normalize"; }

  Normalize(const NormalizeLayer& layer, const Features& x, const Features& out)
      : channels_(layer.channels), x_(layer.x, x), out_(layer.out, out) {}

  void run(const Run& run) const override {
    const float* x = x_.of(run);
    float* out = out_.of(run);
    for (std::int64_t row = 0; row < x_.frames * x_.rows; ++row) {
      normalize(x, channels_, out);
      x += x_.row_stride();
      out += out_.row_stride();
    }
  }

 private:
  std::int64_t channels_;
  PartShape x_, out_;
};

class Gelu : public Layer {
 public:
  const char* kind() const override { return "gelu"; }

  Gelu(const GeluLayer& layer, const Features& x, const Features& out, Isa isa)
      : channels_(layer.channels),
        x_(layer.x, x),
        out_(layer.out, out),
        kernel_(gelu_kernel(isa)) {}

  void run(const Run& run) const override {
    const float* x = x_.of(run);
    float* out = out_.of(run);
    for (std::int64_t row = 0; row < x_.frames * x_.rows; ++row) {
      kernel_(x, out, channels_);
      x += x_.row_stride();
      out += out_.row_stride();
    }
  }

 private:
  std::int64_t channels_;
  PartShape x_, out_;
  GeluFn kernel_;
};

// Head by head: its keys and values are laid out side by side, and added up to one matrix, which
// every query then reads with weights of its own. A stream keeps the running means of these
// matrices, and of the sums of the keys.
class Attention : public Layer {
 public:
  const char* kind() const override { return "attention"; }

  Attention(AttentionLayer layer, const Features& query, const Features& key, const Features& value,
            const Features& out, Isa isa)
      : layer_(std::move(layer)),
        query_(layer_.query, query),
        key_(layer_.key, key),
        value_(layer_.value, value),
        out_(layer_.out, out),
        groups_(query.persons == key.persons ? query.persons : 1),
        width_(layer_.directions.shape[0]),
        features_(layer_.directions.shape[1]),
        linear_(temporal_conv_kernel(isa)),
        kernel_(random_features_kernel(isa)) {}

  void run(const Run& run) const override {
    attend(run, [](const float* sums, std::int64_t) { return sums; });
  }

  void step(const Run& run, float* state, std::int64_t index) const override {
    attend(run, [&](const float* sums, std::int64_t number) -> const float* {
      float* means = state + number * sums_size();
      run_along(sums, sums_size(), index, layer_.window, means);
      return means;
    });
  }
  std::int64_t state_size() const override { return groups_ * layer_.heads * sums_size(); }

  std::int64_t multiply_adds() const override {
    const std::int64_t queries = query_.frames * rows_of(query_);
    return 2 * groups_ * layer_.heads * (tokens() + queries) * width_ * features_;
  }
  std::int64_t scratch_size() const override {
    return 2 * tokens() * width_ + (tokens() + rows_of(query_) + width_ + 1) * features_ +
           std::max(features_, width_);
  }

 private:
  struct Scratch {
    float *keys, *values, *key_features, *sums, *weights, *zeros;

    Scratch(const Attention& of, float* begin) {
      keys = begin;
      values = keys + of.tokens() * of.width_;
      key_features = values + of.tokens() * of.width_;
      sums = key_features + of.tokens() * of.features_;
      weights = sums + of.sums_size();
      zeros = weights + of.rows_of(of.query_) * of.features_;
    }
  };

  // Of a group and head: the sum of the keys, [J], and keys times values, [J, D].
  std::int64_t sums_size() const { return features_ * (1 + width_); }
  // Of a group of persons: in a frame, and in all frames of the keys.
  std::int64_t rows_of(const PartShape& part) const { return part.rows / groups_; }
  std::int64_t tokens() const { return key_.frames * rows_of(key_); }

  // means_of(sums, number): of every group and head by its number, what queries read.
  template <class MeansOf>
  void attend(const Run& run, const MeansOf& means_of) const {
    Scratch m(*this, run.scratch);
    std::fill_n(m.zeros, std::max(features_, width_), 0.0f);
    const Linear exponents{layer_.directions.values.data(), m.zeros, width_, features_};
    const RandomFeatures head{linear_, kernel_, exponents, layer_.window > 0};
    for (std::int64_t group = 0; group < groups_; ++group) {
      for (std::int64_t h = 0; h < layer_.heads; ++h) {
        pack(run, key_, group, h, m.keys);
        pack(run, value_, group, h, m.values);
        head.keys({m.keys, tokens(), width_}, m.key_features, m.sums);
        add_up(m);
        look(run, group, h, head, means_of(m.sums, group * layer_.heads + h), m);
      }
    }
  }

  float* at(const Run& run, const PartShape& part, std::int64_t group, std::int64_t h) const {
    return part.of(run) + group * rows_of(part) * part.row_stride() + h * width_;
  }

  void pack(const Run& run, const PartShape& part, std::int64_t group, std::int64_t h,
            float* to) const {
    const float* from = at(run, part, group, h);
    for (std::int64_t t = 0; t < part.frames; ++t, from += part.frame_stride()) {
      for (std::int64_t row = 0; row < rows_of(part); ++row, to += width_) {
        std::copy_n(from + row * part.row_stride(), width_, to);
      }
    }
  }

  // Behind the sum of the keys, keys times values: sums[j] = sum_k key_features[k, j] * values[k].
  // Keys are the taps of a convolution whose rows are the features.
  void add_up(const Scratch& m) const {
    float* sums = m.sums + features_;
    std::array<const float*, kTaps> taps{};
    TemporalConvFrame frame{};
    frame.taps = taps.data();
    frame.bias = m.zeros;
    frame.out = sums;
    frame.rows = features_;
    frame.inputs = frame.x_stride = 1;
    frame.outputs = frame.add_stride = frame.out_stride = width_;
    frame.out_block = kChannelBlock;
    frame.slope = 1.0f;
    for (std::int64_t k = 0; k < tokens(); k += frame.k) {
      frame.k = std::min(kTaps, tokens() - k);
      for (std::int64_t i = 0; i < frame.k; ++i) {
        taps[static_cast<std::size_t>(i)] = m.key_features + (k + i) * features_;
      }
      frame.weight = m.values + k * width_;
      linear_(frame);
      frame.add = sums;
    }
  }

  void look(const Run& run, std::int64_t group, std::int64_t h, const RandomFeatures& head,
            const float* key_sum, const Scratch& m) const {
    const Linear sums{key_sum + features_, m.zeros, features_, width_};
    const float* query = at(run, query_, group, h);
    float* out = at(run, out_, group, h);
    for (std::int64_t t = 0; t < query_.frames; ++t) {
      head.queries({query, rows_of(query_), query_.row_stride()}, key_sum, m.weights);
      sums(linear_, {m.weights, rows_of(query_), features_}, out, out_.row_stride());
      query += query_.frame_stride();
      out += out_.frame_stride();
    }
  }

  static constexpr std::int64_t kTaps = 64;  // whose features and values stay in the cache

  AttentionLayer layer_;
  PartShape query_, key_, value_, out_;
  std::int64_t groups_, width_, features_;
  TemporalConvFn linear_;
  RandomFeaturesFn kernel_;
};

}  // namespace

std::unique_ptr<Layer> make_normalize(const NormalizeLayer& layer, const Features& x,
                                      const Features& out) {
  return std::make_unique<Normalize>(layer, x, out);
}

std::unique_ptr<Layer> make_gelu(const GeluLayer& layer, const Features& x, const Features& out,
                                 Isa isa) {
  return std::make_unique<Gelu>(layer, x, out, isa);
}

std::unique_ptr<Layer> make_attention(AttentionLayer layer, const Features& query,
                                      const Features& key, const Features& value,
                                      const Features& out, Isa isa) {
  return std::make_unique<Attention>(std::move(layer), query, key, value, out, isa);
}

}  // namespace bhar
