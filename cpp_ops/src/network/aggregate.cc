// Aggregations over the graph, over static and over refined adjacencies.

#include <algorithm>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "bhar_ops/pairwise_tanh.h"
#include "bhar_ops/refined_aggregate.h"
#include "bhar_ops/temporal_conv.h"
#include "layer.h"

namespace bhar {
namespace {

class Aggregate : public Layer {
 public:
  const char* kind() const override { return "aggregate"; }

  Aggregate(AggregateLayer layer, const Features& value, const Features& out, const Features* add,
            const Features* x, Isa isa)
      : layer_(std::move(layer)),
        value_(value),
        out_(layer_.out, out),
        add_(add == nullptr ? out_ : PartShape(*layer_.add, *add)),
        x_(x == nullptr ? out_ : PartShape(layer_.refinement->x, *x)),
        persons_(value.persons),
        joints_(value.joints),
        kernel_(refined_aggregate_kernel(isa)),
        conv_(temporal_conv_kernel(isa)),
        tanh_(pairwise_tanh_kernel(isa)) {}

  void run(const Run& run) const override {
    for (std::int64_t person = 0; person < persons_; ++person) {
      float* sides = run.scratch + kRefinedAggregateScratch;
      if (layer_.refinement) {
        mean_of(run, person, sides + sides_size());
        project(sides + sides_size(), sides);
      }
      aggregate(run, person, sides, sides + sides_size());
    }
  }

  // The state of each person: the running mean, and what its projections were last.
  void step(const Run& run, float* state, std::int64_t index) const override {
    float* scratch = run.scratch + kRefinedAggregateScratch;
    for (std::int64_t person = 0; person < persons_; ++person) {
      float *mean = state, *sides = state;
      if (layer_.refinement) {
        sides += mean_size();
        mean_of(run, person, scratch);
        run_along(scratch, mean_size(), index, layer_.refinement->window, mean);
        if (index % layer_.refinement->period == 0) project(mean, sides);
        state += mean_size() + sides_size();
      }
      aggregate(run, person, sides, scratch);
    }
  }
  std::int64_t state_size() const override {
    return layer_.refinement ? persons_ * (mean_size() + sides_size()) : 0;
  }

  std::int64_t multiply_adds() const override {
    const std::int64_t edges = layer_.adjacency.shape[0] * joints_ * joints_;
    std::int64_t count = edges * layer_.bias.shape[0] * value_.frames;
    if (layer_.refinement) {
      const Refinement& r = *layer_.refinement;
      count += static_cast<std::int64_t>(r.query.values.size() + r.key.values.size()) * joints_;
      count += edges * r.weight.shape[1] * layer_.bias.shape[0];
    }
    return count * persons_;
  }

  std::int64_t scratch_size() const override {
    if (!layer_.refinement) return kRefinedAggregateScratch;
    return kRefinedAggregateScratch + sides_size() +
           std::max(mean_size(), joints_ * joints_ * relations());
  }

 private:
  std::int64_t inputs() const {
    return layer_.refinement->query.shape[0] * layer_.refinement->query.shape[1];
  }
  // Of each joint: [G, K, R].
  std::int64_t relations() const {
    return layer_.groups * layer_.adjacency.shape[0] * layer_.refinement->weight.shape[1];
  }
  std::int64_t mean_size() const { return joints_ * inputs(); }
  // Queries, then keys: [V, G, K, R] each.
  std::int64_t sides_size() const { return layer_.refinement ? 2 * joints_ * relations() : 0; }

  // Of x over time: [V, I].
  void mean_of(const Run& run, std::int64_t person, float* mean) const {
    const float* x = x_.of(run) + person * joints_ * x_.row_stride();
    for (std::int64_t v = 0; v < joints_; ++v) {
      mean_of_rows(x + v * x_.row_stride(), x_.frames, x_.frame_stride(), 1, 0, inputs(),
                   mean + v * inputs());
    }
  }

  void project(const float* mean, float* sides) const {
    const Refinement& r = *layer_.refinement;
    project(mean, r.query, r.query_bias, sides);
    project(mean, r.key, r.key_bias, sides + joints_ * relations());
  }

  // scratch: for the relations of all pairs of joints.
  void aggregate(const Run& run, std::int64_t person, const float* sides, float* scratch) const {
    const std::int64_t partitions = layer_.adjacency.shape[0], rows = value_.rows();
    RefinedAggregateSample sample{};
    sample.a = layer_.adjacency.values.data();
    sample.bias = layer_.bias.values.data();
    sample.scratch = run.scratch;
    sample.k = partitions;
    sample.t = value_.frames;
    sample.v = sample.w = joints_;
    sample.c = layer_.bias.shape[0];
    sample.groups = layer_.groups;
    sample.value_v = kChannelBlock;
    sample.value_t = rows * kChannelBlock;
    sample.value_block = value_.frames * sample.value_t;
    sample.value_k = sample.c / sample.groups / kChannelBlock * sample.value_block;
    sample.value_group = partitions * sample.value_k;
    sample.add_t = add_.frame_stride();
    sample.add_w = add_.row_stride();
    sample.out_t = out_.frame_stride();
    sample.out_w = out_.row_stride();
    sample.slope = layer_.slope;
    const std::int64_t row = person * joints_;
    sample.value = run.at(layer_.value) + row * kChannelBlock;
    sample.out = out_.of(run) + row * sample.out_w;
    sample.add = layer_.add ? add_.of(run) + row * sample.add_w : nullptr;
    if (layer_.refinement) {
      const Refinement& refinement = *layer_.refinement;
      sample.r = refinement.weight.shape[1];
      tanh_({sides, sides + joints_ * relations(), scratch, joints_, joints_,
             sample.groups * sample.k, sample.r});
      sample.relation = scratch;
      sample.relation_k = joints_ * joints_ * sample.r;
      sample.relation_group = sample.k * sample.relation_k;
      sample.weight = refinement.weight.values.data();
      sample.shift = refinement.shift.values.data();
    }
    kernel_(sample);
  }

  // mean [V, I] -> [V, G, K * R], in groups of channels.
  void project(const float* mean, const Array& weight, const Array& bias, float* out) const {
    const std::int64_t groups = weight.shape[0];
    const float* tap = mean;
    TemporalConvFrame frame{};
    frame.taps = &tap;
    frame.k = 1;
    frame.rows = joints_;
    frame.inputs = weight.shape[1];
    frame.outputs = weight.shape[2];
    frame.x_stride = inputs();
    frame.out_stride = groups * frame.outputs;
    frame.out_block = kChannelBlock;
    frame.slope = 1.0f;
    for (std::int64_t g = 0; g < groups; ++g, tap += frame.inputs) {
      frame.weight = weight.values.data() + g * frame.inputs * frame.outputs;
      frame.bias = bias.values.data() + g * frame.outputs;
      frame.out = out + g * frame.outputs;
      conv_(frame);
    }
  }

  AggregateLayer layer_;
  Features value_;
  PartShape out_, add_, x_;
  std::int64_t persons_, joints_;
  RefinedAggregateFn kernel_;
  TemporalConvFn conv_;
  PairwiseTanhFn tanh_;
};

}  // namespace

std::unique_ptr<Layer> make_aggregate(AggregateLayer layer, const Features& value,
                                      const Features& out, const Features* add, const Features* x,
                                      Isa isa) {
  return std::make_unique<Aggregate>(std::move(layer), value, out, add, x, isa);
}

}  // namespace bhar
