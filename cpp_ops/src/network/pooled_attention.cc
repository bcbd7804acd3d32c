// The head of streams that look at each other along pooled axes.

#include "bhar_ops/pooled_attention.h"

#include <algorithm>
#include <utility>

#include "../attention.h"
#include "../dispatch.h"
#include "layer.h"

namespace bhar {
namespace {

TokenGrid grid_of(const Part& part, const Features& of, std::int64_t channels) {
  const PartShape shape(part, of);
  return {nullptr,           of.frames, of.persons, of.joints, channels, shape.frame_stride(),
          shape.row_stride()};
}

// A stream keeps the running means of joints and persons, and of its last `window` frames what no
// later one changes: their queries, their keys, and the context's tokens. Which of these frames is
// the oldest does not matter to attention.
class PooledAttentionHead : public Layer {
 public:
  const char* kind() const override { return "pooled attention"; }

  PooledAttentionHead(PooledAttentionLayer layer, const Features& x, const Features& context,
                      std::int64_t head, Isa isa)
      : layer_(std::move(layer)),
        channels_(layer_.query.shape[1]),
        inner_(layer_.query.shape[2]),
        x_(layer_.x, x),
        context_(layer_.context, context),
        of_x_(grid_of(layer_.x, x, channels_)),
        of_context_(grid_of(layer_.context, context, channels_)),
        constants_(pooled_attention_of(layer_)),
        head_(head),
        isa_(isa) {
    random_features_kernel(isa);  // throws now and not as it runs
  }

  void run(const Run& run) const override {
    TokenGrid x = of_x_, context = of_context_;
    x.x = x_.of(run);
    context.x = context_.of(run);
    pooled_attention_sample(x, context, constants_, isa_, run.scratch, logits(run));
  }

  void step(const Run& run, float* state, std::int64_t index) const override {
    float *queries = state, *keys = queries + layer_.window * inner_;
    float *times = keys + layer_.window * inner_, *means = times + layer_.window * channels_;
    float *token = run.scratch, *seen = token + of_x_.tokens() * channels_;
    const AxisAttention axes(constants_, isa_, longest(of_x_), longest(of_context_),
                             seen + of_context_.tokens() * channels_);
    run_tokens(of_x_, x_.of(run), index, means, token);
    run_tokens(of_context_, context_.of(run), index, means + means_size(of_x_), seen);

    const std::int64_t place = index % layer_.window, count = std::min(index + 1, layer_.window);
    axes.project_queries(0, token, 1, queries + place * inner_);
    axes.project_keys(0, seen, 1, keys + place * inner_);
    std::copy_n(seen, channels_, times + place * channels_);
    axes.look(0, queries, count, keys, times, count);
    token += channels_;
    seen += channels_;
    axes.attend(1, token, of_x_.joints, seen, of_context_.joints);
    token += of_x_.joints * channels_;
    seen += of_context_.joints * channels_;
    axes.attend(2, token, of_x_.persons, seen, of_context_.persons);
    axes.outputs(logits(run));
  }
  std::int64_t state_size() const override {
    return layer_.window * (2 * inner_ + channels_) + means_size(of_x_) + means_size(of_context_);
  }

  std::int64_t multiply_adds() const override {
    if (layer_.window == 0) {
      return pooled_attention_multiply_adds(of_x_, of_context_, constants_);
    }
    const std::int64_t queries = of_x_.tokens(), keys = of_context_.tokens();
    const std::int64_t earlier = layer_.window - 1;
    return AxisAttention::multiply_adds(constants_, queries + keys, queries + earlier,
                                        keys + earlier) +
           AxisAttention::multiply_adds(constants_);
  }
  std::int64_t scratch_size() const override {
    return (of_x_.tokens() + of_context_.tokens()) * channels_ +
           AxisAttention::scratch_size(constants_, longest(of_x_), longest(of_context_));
  }

 private:
  float* logits(const Run& run) const { return run.logits + head_ * layer_.bias.shape[0]; }
  std::int64_t longest(const TokenGrid& grid) const {
    return std::max(grid.longest(), layer_.window);
  }
  std::int64_t means_size(const TokenGrid& grid) const {
    return (grid.joints + grid.persons) * channels_;
  }

  // tokens, normalized: of the frame x, then the running means of joints and persons.
  void run_tokens(TokenGrid grid, const float* x, std::int64_t index, float* means,
                  float* tokens) const {
    grid.x = x;
    pooled_tokens(grid, tokens);
    run_along(tokens + channels_, means_size(grid), index, layer_.window, means);
    normalize(tokens, channels_, tokens);
    for (std::int64_t i = 1; i < grid.tokens(); ++i, means += channels_) {
      normalize(means, channels_, tokens + i * channels_);
    }
  }

  PooledAttentionLayer layer_;
  std::int64_t channels_, inner_;  // of tokens, and of queries and keys in all heads
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

std::unique_ptr<Layer> make_pooled_attention(PooledAttentionLayer layer, const Features& x,
                                             const Features& context, std::int64_t head, Isa isa) {
  return std::make_unique<PooledAttentionHead>(std::move(layer), x, context, head, isa);
}

}  // namespace bhar
