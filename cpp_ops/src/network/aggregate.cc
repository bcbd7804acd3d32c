// Graph convolutions: a 1x1 convolution and an aggregation over static or refined adjacencies.

#include <algorithm>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "integers.h"
#include "layer.h"

namespace bhar {
namespace {

// Floats of one person's values that are aggregated in one go: most of a second-level cache.
constexpr std::int64_t kMostValues = 320 << 10;

class Aggregate : public Layer {
 public:
  Aggregate(AggregateLayer layer, const Features& x, const Features& out, const Features* add,
            Isa isa)
      : layer_(std::move(layer)),
        x_(layer_.x, x),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        persons_(x.persons),
        joints_(x.joints),
        groups_(layer_.weight.shape[0]),
        inputs_(groups_ * layer_.weight.shape[1]),
        partitions_(layer_.adjacency.shape[0]),
        channels_(layer_.bias.shape[0]),
        relations_(layer_.refinement ? layer_.refinement->weight.shape[1] : 0),
        kernel_(refined_aggregate_kernel(isa)),
        conv_(temporal_conv_kernel(isa)),
        tanh_(pairwise_tanh_kernel(isa)) {
    if (layer_.integers) {
      const Shape shape{groups_, 1, layer_.weight.shape[1], layer_.weight.shape[2]};
      integers_.emplace(*layer_.integers, shape, layer_.weight_bias, isa);
      layer_.integers.reset();  // packed
    }
    const std::int64_t most = std::max(kMostValues / value_size(), std::int64_t{1});
    const std::int64_t parts = (x_.frames + most - 1) / most;
    at_once_ = (x_.frames + parts - 1) / parts;
  }

  const char* kind() const override { return "aggregate"; }

  void run(const Run& run) const override {
    for (std::int64_t person = 0; person < persons_; ++person) {
      float* sides = run.scratch + kRefinedAggregateScratch;
      if (layer_.refinement) {
        mean_of(run, person, sides + sides_size());
        project_both(sides + sides_size(), sides);
      }
      aggregate(run, person, sides, sides + sides_size());
    }
  }

  // The state of each person: the running mean, and what its projections were last.
  void step(const Run& run, float* state, std::int64_t index) const override {
    float* scratch = run.scratch + kRefinedAggregateScratch;
    for (std::int64_t person = 0; person < persons_; ++person) {
      float *mean = state, *sides = state + mean_size();
      if (layer_.refinement) {
        mean_of(run, person, scratch);
        run_along(scratch, mean_size(), index, layer_.refinement->window, mean);
        if (index % layer_.refinement->period == 0) project_both(mean, sides);
        state += mean_size() + sides_size();
      }
      aggregate(run, person, sides, scratch);
    }
  }
  std::int64_t state_size() const override {
    return layer_.refinement ? persons_ * (mean_size() + sides_size()) : 0;
  }

  std::int64_t multiply_adds() const override {
    const std::int64_t edges = partitions_ * joints_ * joints_;
    std::int64_t count =
        (element_count(layer_.weight.shape) * joints_ + edges * channels_) * x_.frames;
    if (layer_.refinement) {
      const Refinement& r = *layer_.refinement;
      count += static_cast<std::int64_t>(r.query.values.size() + r.key.values.size()) * joints_;
      count += edges * relations_ * channels_;
    }
    return count * persons_;
  }

  void observe(const Run& run, Range& range) const override { widen(x_, inputs_, run, range); }

  std::int64_t scratch_size() const override {
    const std::int64_t pairs = joints_ * maps() * joints_ * relations_;
    return kRefinedAggregateScratch + sides_size() + std::max(mean_size(), pairs) +
           at_once_ * value_size() + bytes_size();
  }

 private:
  std::int64_t maps() const { return groups_ * partitions_; }
  std::int64_t mean_size() const { return joints_ * inputs_; }
  // Queries, then keys: [V, G, K, R] each.
  std::int64_t sides_size() const { return 2 * joints_ * maps() * relations_; }
  std::int64_t value_size() const { return joints_ * partitions_ * channels_; }
  // Floats that the bytes of one person's frame take.
  std::int64_t bytes_size() const { return integers_ ? joints_ * inputs_ / 4 : 0; }

  // Of x over time: [V, I].
  void mean_of(const Run& run, std::int64_t person, float* mean) const {
    const float* x = x_.of(run) + person * joints_ * x_.row_stride();
    for (std::int64_t v = 0; v < joints_; ++v) {
      mean_of_rows(x + v * x_.row_stride(), x_.frames, x_.frame_stride(), 1, 0, inputs_,
                   mean + v * inputs_);
    }
  }

  void project_both(const float* mean, float* sides) const {
    const Refinement& r = *layer_.refinement;
    const std::int64_t stride = maps() * relations_;
    project(mean, inputs_, r.query, r.query_bias, sides, stride, kChannelBlock);
    project(mean, inputs_, r.key, r.key_bias, sides + joints_ * stride, stride, kChannelBlock);
  }

  // One frame: x [V, I] in rows of `x_stride` -> its groups' outputs, one after the other.
  void project(const float* x, std::int64_t x_stride, const Array& weight, const Array& bias,
               float* out, std::int64_t out_stride, std::int64_t out_block) const {
    const float* tap = x;
    TemporalConvFrame frame{};
    frame.taps = &tap;
    frame.k = 1;
    frame.rows = joints_;
    frame.inputs = weight.shape[1];
    frame.outputs = weight.shape[2];
    frame.x_stride = x_stride;
    frame.out_stride = out_stride;
    frame.out_block = out_block;
    frame.slope = 1.0f;
    for (std::int64_t g = 0; g < groups_; ++g, tap += frame.inputs) {
      frame.weight = weight.values.data() + g * frame.inputs * frame.outputs;
      frame.bias = bias.values.data() + g * frame.outputs;
      frame.out =
          out + g * frame.outputs / kChannelBlock * out_block + g * frame.outputs % kChannelBlock;
      conv_(frame);
    }
  }

  // One frame: x [V, I] -> the values of all partitions, every block of channels alone.
  void project_value(const float* x, float* value, std::int64_t block, float* scratch) const {
    if (!integers_) {
      project(x, x_.row_stride(), layer_.weight, layer_.weight_bias, value, kChannelBlock, block);
      return;
    }
    auto* bytes = reinterpret_cast<std::uint8_t*>(scratch);
    integers_->quantise(x, joints_, x_.row_stride(), bytes);
    const std::uint8_t* tap = bytes;
    IntegerConvFrame frame{};
    frame.rows = joints_;
    frame.out = value;
    frame.out_stride = kChannelBlock;
    frame.out_block = block;
    frame.slope = 1.0f;
    integers_->compute(frame, &tap, layer_.weight.shape[2] / kChannelBlock * block);
  }

  // scratch: for the relations of all pairs of joints, then the values of some frames.
  void aggregate(const Run& run, std::int64_t person, const float* sides, float* scratch) const {
    RefinedAggregateSample sample{};
    float* value = scratch;
    if (layer_.refinement) {
      const Refinement& r = *layer_.refinement;
      const std::int64_t stride = maps() * relations_;
      tanh_({sides, sides + joints_ * stride, scratch, joints_, joints_, maps(), relations_});
      sample.relation = scratch;
      sample.relation_k = joints_ * joints_ * relations_;
      sample.relation_group = partitions_ * sample.relation_k;
      sample.weight = r.weight.values.data();
      sample.shift = r.shift.values.data();
      value += joints_ * stride * joints_;
    }
    const std::int64_t row = person * joints_;
    sample.r = relations_;
    sample.a = layer_.adjacency.values.data();
    sample.bias = layer_.bias.values.data();
    sample.scratch = run.scratch;
    sample.value = value;
    sample.k = partitions_;
    sample.v = sample.w = joints_;
    sample.c = channels_;
    sample.groups = groups_;
    sample.value_v = kChannelBlock;
    sample.value_t = joints_ * kChannelBlock;
    sample.add_t = add_.frame_stride();
    sample.add_w = add_.row_stride();
    sample.out_t = out_.frame_stride();
    sample.out_w = out_.row_stride();
    sample.slope = layer_.slope;
    for (std::int64_t t = 0; t < x_.frames; t += at_once_) {
      sample.t = std::min(at_once_, x_.frames - t);
      sample.value_block = sample.t * sample.value_t;
      sample.value_k = channels_ / groups_ / kChannelBlock * sample.value_block;
      sample.value_group = partitions_ * sample.value_k;
      for (std::int64_t i = 0; i < sample.t; ++i) {
        const float* x = x_.of(run) + (t + i) * x_.frame_stride() + row * x_.row_stride();
        project_value(x, value + i * sample.value_t, sample.value_block,
                      value + at_once_ * value_size());
      }
      sample.out = out_.of(run) + t * sample.out_t + row * sample.out_w;
      sample.add = layer_.add ? add_.of(run) + t * sample.add_t + row * sample.add_w : nullptr;
      kernel_(sample);
    }
  }

  AggregateLayer layer_;
  PartShape x_, out_, add_;
  std::int64_t persons_, joints_, groups_, inputs_, partitions_, channels_, relations_;
  std::int64_t at_once_;  // frames
  std::optional<IntegerWeight> integers_;
  RefinedAggregateFn kernel_;
  TemporalConvFn conv_;
  PairwiseTanhFn tanh_;
};

}  // namespace

std::unique_ptr<Layer> make_aggregate(AggregateLayer layer, const Features& x, const Features& out,
                                      const Features* add, Isa isa) {
  return std::make_unique<Aggregate>(std::move(layer), x, out, add, isa);
}

}  // namespace bhar
