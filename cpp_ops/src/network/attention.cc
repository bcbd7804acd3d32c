// The layers of streams that look at each other: attention over all joints and frames, what goes
// before and behind it, and attention along pooled axes.

#include "../attention.h"

#include <algorithm>
#include <array>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "layer.h"

namespace bhar {
namespace {

class Normalise : public Layer {
 public:
  const char* kind() const override { return "normalise"; }

  Normalise(const NormaliseLayer& layer, const Features& x, const Features& out)
      : channels_(layer.channels), x_(layer.x, x), out_(layer.out, out) {}

  void run(const Run& run) const override {
    const float* x = x_.of(run);
    float* out = out_.of(run);
    for (std::int64_t row = 0; row < x_.frames * x_.rows; ++row) {
      normalise(x, channels_, out);
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
// every query then reads with weights of its own.
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
    Scratch m(*this, run.scratch);
    std::fill_n(m.zeros, std::max(features_, width_), 0.0f);
    const Linear exponents{layer_.directions.values.data(), m.zeros, width_, features_};
    const RandomFeatures head{linear_, kernel_, exponents};
    for (std::int64_t group = 0; group < groups_; ++group) {
      for (std::int64_t h = 0; h < layer_.heads; ++h) {
        pack(run, key_, group, h, m.keys);
        pack(run, value_, group, h, m.values);
        head.keys({m.keys, tokens(), width_}, m.key_features, m.key_sum);
        add_up(m);
        look(run, group, h, head, m);
      }
    }
  }

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
    float *keys, *values, *key_features, *key_sum, *sums, *weights, *zeros;

    Scratch(const Attention& of, float* begin) {
      keys = begin;
      values = keys + of.tokens() * of.width_;
      key_features = values + of.tokens() * of.width_;
      key_sum = key_features + of.tokens() * of.features_;
      sums = key_sum + of.features_;
      weights = sums + of.features_ * of.width_;
      zeros = weights + of.rows_of(of.query_) * of.features_;
    }
  };

  // Of a group of persons: in a frame, and in all frames of the keys.
  std::int64_t rows_of(const PartShape& part) const { return part.rows / groups_; }
  std::int64_t tokens() const { return key_.frames * rows_of(key_); }

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

  // sums[j] = sum_k key_features[k, j] * values[k]: keys are the taps of a convolution whose rows
  // are the features.
  void add_up(const Scratch& m) const {
    std::array<const float*, kTaps> taps{};
    TemporalConvFrame frame{};
    frame.taps = taps.data();
    frame.bias = m.zeros;
    frame.out = m.sums;
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
      frame.add = m.sums;
    }
  }

  void look(const Run& run, std::int64_t group, std::int64_t h, const RandomFeatures& head,
            const Scratch& m) const {
    const Linear sums{m.sums, m.zeros, features_, width_};
    const float* query = at(run, query_, group, h);
    float* out = at(run, out_, group, h);
    for (std::int64_t t = 0; t < query_.frames; ++t) {
      head.queries({query, rows_of(query_), query_.row_stride()}, m.key_sum, m.weights);
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

TokenGrid grid_of(const Part& part, const Features& of) {
  const PartShape shape(part, of);
  return {nullptr,           of.frames, of.persons, of.joints, of.channels, shape.frame_stride(),
          shape.row_stride()};
}

class PooledAttentionHead : public Layer {
 public:
  const char* kind() const override { return "pooled attention"; }

  PooledAttentionHead(PooledAttentionLayer layer, const Features& x, const Features& context,
                      std::int64_t head, Isa isa)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        context_(layer_.context, context),
        of_x_(grid_of(layer_.x, x)),
        of_context_(grid_of(layer_.context, context)),
        constants_(pooled_attention_of(layer_)),
        head_(head),
        isa_(isa) {
    of_x_.channels = of_context_.channels = layer_.query.shape[1];
    random_features_kernel(isa);  // throws now and not as it runs
  }

  void run(const Run& run) const override {
    TokenGrid x = of_x_, context = of_context_;
    x.x = x_.of(run);
    context.x = context_.of(run);
    float* logits = run.logits + head_ * layer_.bias.shape[0];
    pooled_attention_sample(x, context, constants_, isa_, run.scratch, logits);
  }

  std::int64_t multiply_adds() const override {
    return pooled_attention_multiply_adds(of_x_, of_context_, constants_);
  }
  std::int64_t scratch_size() const override {
    return pooled_attention_scratch(of_x_, of_context_, constants_);
  }

 private:
  PooledAttentionLayer layer_;
  PartShape x_, context_;
  TokenGrid of_x_, of_context_;
  PooledAttention constants_;
  std::int64_t head_;
  Isa isa_;
};

}  // namespace

PooledAttention pooled_attention_of(const PooledAttentionLayer& layer) {
  return {layer.query.values.data(),
          layer.query_bias.values.data(),
          layer.key.values.data(),
          layer.key_bias.values.data(),
          layer.directions.values.data(),
          layer.value.values.data(),
          layer.bias.values.data(),
          layer.query.shape,
          layer.query_bias.shape,
          layer.key.shape,
          layer.key_bias.shape,
          layer.directions.shape,
          layer.value.shape,
          layer.bias.shape};
}

std::unique_ptr<Layer> make_normalise(const NormaliseLayer& layer, const Features& x,
                                      const Features& out) {
  return std::make_unique<Normalise>(layer, x, out);
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

std::unique_ptr<Layer> make_pooled_attention(PooledAttentionLayer layer, const Features& x,
                                             const Features& context, std::int64_t head, Isa isa) {
  return std::make_unique<PooledAttentionHead>(std::move(layer), x, context, head, isa);
}

}  // namespace bhar
