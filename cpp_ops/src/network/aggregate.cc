// Graph convolutions: a 1x1 convolution and an aggregation over static or refined adjacencies.

#include <algorithm>
#include <utility>

#include "../dispatch.h"
#include "bhar_ops/kernels.h"
#include "integers.h"
#include "layer.h"
#include "memory.h"
#include "tiles.h"

namespace bhar {
namespace {

// Floats of the values that are aggregated in one go, kChannelBlock channels of one person, or as
// many blocks of these as are projected together. They
// stay in the second-level cache, beside the refined adjacencies, which are made for each go;
// static ones cost nothing, and leave the first-level cache to the values.
constexpr std::int64_t kMostValues = 128 << 10, kMostStaticValues = 8 << 10;

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
    const std::int64_t values = layer_.refinement ? kMostValues : kMostStaticValues;
    const std::int64_t most = std::max(values / (partitions_ * frame_size()), std::int64_t{1});
    const std::int64_t parts = (x_.frames + most - 1) / most;
    at_once_ = (x_.frames + parts - 1) / parts;
    const std::int64_t rows = groups_ * layer_.weight.shape[1];
    layer_.weight_bias.values = in_blocks(layer_.weight_bias.values, groups_);
    if (layer_.integers) {
      Integers& integers = *layer_.integers;
      integers.values = in_blocks(integers.values, rows);
      integers.scale = in_blocks(integers.scale, groups_);
      const Shape shape{blocks(), 1, layer_.weight.shape[1], partitions_ * kChannelBlock};
      integers_.emplace(integers, shape, layer_.weight_bias, isa);
      layer_.integers.reset();  // packed
    } else {
      layer_.weight.values = in_blocks(layer_.weight.values, rows);
      const Shape shape{blocks(), 1, layer_.weight.shape[1], partitions_ * kChannelBlock};
      if (tiles_pay(shape[2], shape[3], isa)) {
        tiles_.emplace(layer_.weight.values, shape, layer_.weight_bias.values);
        layer_.weight.values = {};  // packed
      }
    }
  }

  const char* kind() const override { return "aggregate"; }

  void run(const Run& run) const override {
    for (std::int64_t person = 0; person < persons_; ++person) {
      float* sides = run.scratch + kRefinedAggregateScratch;
      if (layer_.refinement) {
        mean_of(run, person, sides + sides_size());
        project_both(sides + sides_size(), sides);
      }
      aggregate(run, person, sides, sides + align(sides_size()));
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
    return kRefinedAggregateScratch + align(sides_size()) + std::max(mean_size(), pairs_size()) +
           partitions_ * partition_size() + at_once_ * bytes_size() + parts_size();
  }

 private:
  std::int64_t maps() const { return groups_ * partitions_; }
  std::int64_t mean_size() const { return joints_ * inputs_; }
  // Queries, then keys: [V, G, K, R] each.
  std::int64_t sides_size() const { return 2 * joints_ * maps() * relations_; }
  // Of the relations of all pairs of joints.
  std::int64_t pairs_size() const { return align(joints_ * maps() * joints_ * relations_); }
  // Of one frame of a block of channels in one partition, and of those aggregated in one go:
  // [T, V, kChannelBlock], with as many rows as tiles write.
  std::int64_t frame_size() const { return joints_ * kChannelBlock; }
  std::int64_t partition_size() const {
    const std::int64_t more = tiles_ ? kTileRowsAtOnce : 0;
    return at_once_ * frame_size() + more * kChannelBlock;
  }
  std::int64_t blocks() const { return channels_ / kChannelBlock; }
  // Floats that the bytes of one person's frame take.
  std::int64_t bytes_size() const { return integers_ ? joints_ * inputs_ / 4 : 0; }
  // Floats that what is split of one group of frames takes.
  std::int64_t parts_size() const { return tiles_ ? tiles_->memory(at_once_ * joints_, 1) : 0; }
  std::int64_t blocks_in_group() const { return blocks() / groups_; }
  // Of the group that a block of channels is in, where its inputs begin.
  std::int64_t first_input(std::int64_t block) const {
    return block / blocks_in_group() * layer_.weight.shape[1];
  }

  // rows [G, I / G, (k, c in g)], or [G, (k, c in g)] -> [C / kChannelBlock, I / G, (k, c in
  // block)]
  template <class Values>
  Values in_blocks(const Values& weight, std::int64_t rows) const {
    const std::int64_t in_group = blocks_in_group(), of_each = rows / groups_;
    Values sorted;
    sorted.reserve(weight.size());
    for (std::int64_t block = 0; block < blocks(); ++block) {
      for (std::int64_t row = 0; row < of_each; ++row) {
        for (std::int64_t k = 0; k < partitions_; ++k) {
          const std::int64_t before = (block / in_group * of_each + row) * partitions_ + k;
          const auto from = weight.begin() + (before * in_group + block % in_group) * kChannelBlock;
          sorted.insert(sorted.end(), from, from + kChannelBlock);
        }
      }
    }
    return sorted;
  }

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
    project(mean, r.query, r.query_bias, sides);
    project(mean, r.key, r.key_bias, sides + joints_ * maps() * relations_);
  }

  // mean [V, I] -> its groups' outputs, one after the other.
  void project(const float* mean, const Array& weight, const Array& bias, float* out) const {
    TemporalConvFrame frame = pointwise(weight.shape[1], weight.shape[2]);
    frame.taps = &mean;
    frame.x_stride = inputs_;
    frame.out_stride = maps() * relations_;
    frame.out_block = kChannelBlock;
    for (std::int64_t g = 0; g < groups_; ++g, mean += frame.inputs) {
      frame.weight = weight.values.data() + g * frame.inputs * frame.outputs;
      frame.bias = bias.values.data() + g * frame.outputs;
      frame.out = out + g * frame.outputs;
      conv_(frame);
    }
  }

  // The values of a block of channels in `frames` frames from x on: [K, frames, V, kChannelBlock],
  // partitions partition_size() apart.
  void project_block(const float* x, std::int64_t frames, std::int64_t block, float* value) const {
    const std::int64_t inputs = layer_.weight.shape[1];
    TemporalConvFrame frame = pointwise(inputs, partitions_ * kChannelBlock);
    frame.weight = layer_.weight.values.data() + block * inputs * frame.outputs;
    frame.bias = layer_.weight_bias.values.data() + block * frame.outputs;
    frame.x_stride = x_.row_stride();
    frame.out_stride = kChannelBlock;
    frame.out_block = partition_size();
    x += first_input(block);
    for (std::int64_t t = 0; t < frames; ++t, x += x_.frame_stride()) {
      frame.taps = &x;
      frame.out = value + t * frame_size();
      conv_(frame);
    }
  }

  // x [frames, V, I] of one person -> its bytes.
  void quantize(const float* x, std::int64_t frames, std::uint8_t* bytes) const {
    for (std::int64_t t = 0; t < frames; ++t, x += x_.frame_stride()) {
      integers_->quantize(x, joints_, inputs_, x_.row_stride(), bytes + t * joints_ * inputs_);
    }
  }

  // As project_block, of bytes.
  void project_block(const std::uint8_t* bytes, std::int64_t frames, std::int64_t block,
                     float* value) const {
    IntegerConvFrame frame{};
    frame.rows = joints_;
    frame.x_stride = inputs_;
    frame.out_stride = kChannelBlock;
    frame.out_block = partition_size();
    frame.slope = 1.0f;
    bytes += first_input(block);
    for (std::int64_t t = 0; t < frames; ++t, bytes += joints_ * inputs_) {
      frame.taps = &bytes;
      frame.out = value + t * frame_size();
      integers_->compute_group(frame, block);
    }
  }

  // x [frames, V, I] of one person -> parts of what a block of channels reads.
  void split(const float* x, std::int64_t frames, std::int64_t block, std::uint16_t* parts) const {
    const std::int64_t size = joints_ * tiles_->group_size();
    x += first_input(block);
    for (std::int64_t t = 0; t < frames; ++t, x += x_.frame_stride(), parts += size) {
      tiles_->split(x, joints_, 1, x_.row_stride(), parts);
    }
  }

  // As project_block, of parts.
  void project_block(const std::uint16_t* parts, std::int64_t frames, std::int64_t block,
                     float* value) const {
    TileConvRows rows{};
    rows.taps = &parts;
    rows.out = value;
    rows.rows = frames * joints_;
    rows.x_stride = tiles_->group_size();
    rows.out_stride = kChannelBlock;
    rows.out_block = partition_size();
    rows.slope = 1.0f;
    rows.whole = true;
    tiles_->compute(rows, block);
  }

  TemporalConvFrame pointwise(std::int64_t inputs, std::int64_t outputs) const {
    TemporalConvFrame frame{};
    frame.k = 1;
    frame.rows = joints_;
    frame.inputs = inputs;
    frame.outputs = outputs;
    frame.slope = 1.0f;
    return frame;
  }

  // scratch: for the relations of all pairs of joints, then the values of some frames.
  void aggregate(const Run& run, std::int64_t person, const float* sides, float* scratch) const {
    float* value = scratch;
    if (layer_.refinement) {
      const std::int64_t stride = maps() * relations_;
      tanh_({sides, sides + joints_ * stride, scratch, joints_, joints_, maps(), relations_});
      value += pairs_size();
    }
    const std::int64_t row = person * joints_;
    const float* x = x_.of(run) + row * x_.row_stride();
    for (std::int64_t t = 0; t < x_.frames; t += at_once_) {
      const std::int64_t frames = std::min(at_once_, x_.frames - t);
      const float* first = x + t * x_.frame_stride();
      auto* bytes = reinterpret_cast<std::uint8_t*>(value + partitions_ * partition_size());
      auto* parts = reinterpret_cast<std::uint16_t*>(bytes);
      if (integers_) quantize(first, frames, bytes);
      for (std::int64_t block = 0; block < blocks(); ++block) {
        if (integers_) {
          project_block(bytes, frames, block, value);
        } else if (tiles_) {
          if (block % blocks_in_group() == 0) split(first, frames, block, parts);
          project_block(parts, frames, block, value);
        } else {
          project_block(first, frames, block, value);
        }
        RefinedAggregateSample sample = block_of(block, scratch);
        sample.value = value;
        sample.scratch = run.scratch;
        sample.t = frames;
        const std::int64_t c = block * kChannelBlock;
        sample.out = out_.of(run) + t * sample.out_t + row * sample.out_w + c;
        if (layer_.add) sample.add = add_.of(run) + t * sample.add_t + row * sample.add_w + c;
        kernel_(sample);
      }
    }
  }

  // What the kernel needs to know of a block of channels: all but the frames.
  RefinedAggregateSample block_of(std::int64_t block, const float* relations) const {
    const std::int64_t c = block * kChannelBlock;
    RefinedAggregateSample sample{};
    if (layer_.refinement) {
      sample.relation_k = joints_ * joints_ * relations_;
      const std::int64_t group = block / blocks_in_group();
      sample.relation = relations + group * partitions_ * sample.relation_k;
      sample.weight = layer_.refinement->weight.values.data() + c;
      sample.shift = layer_.refinement->shift.values.data() + c;
      sample.weight_r = channels_;
    }
    sample.r = relations_;
    sample.a = layer_.adjacency.values.data();
    sample.bias = layer_.bias.values.data() + c;
    sample.k = partitions_;
    sample.v = sample.w = joints_;
    sample.c = kChannelBlock;
    sample.groups = 1;
    sample.value_v = kChannelBlock;
    sample.value_t = frame_size();
    sample.value_k = partition_size();
    sample.add_t = add_.frame_stride();
    sample.add_w = add_.row_stride();
    sample.out_t = out_.frame_stride();
    sample.out_w = out_.row_stride();
    sample.slope = layer_.slope;
    return sample;
  }

  AggregateLayer layer_;
  PartShape x_, out_, add_;
  std::int64_t persons_, joints_, groups_, inputs_, partitions_, channels_, relations_;
  std::int64_t at_once_;  // frames
  std::optional<IntegerWeight> integers_;
  std::optional<TileWeight> tiles_;
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
