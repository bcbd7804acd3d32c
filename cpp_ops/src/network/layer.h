// What every layer of a network is, while it runs.
#pragma once

#include <cstdint>

#include "bhar_ops/network.h"

namespace bhar {

// One run of a network. Features and scratch memory belong to it alone.
struct Run {
  const float* const* inputs;
  float* floats;                // all features
  const std::int64_t* offsets;  // of each, in floats
  float* scratch;
  float* logits;  // [heads, classes]

  float* at(std::int64_t features) const { return floats + offsets[features]; }
};

class Layer {
 public:
  virtual ~Layer() = default;
  virtual void run(const Run& run) const = 0;
  virtual std::int64_t multiply_adds() const { return 0; }
  // Floats of scratch memory that a run takes.
  virtual std::int64_t scratch_size() const { return 0; }
};

// A part of features, as layers see it: where a row begins, and how far apart rows and frames are.
struct PartShape {
  std::int64_t features, channel, frames, rows, channels;

  PartShape(const Part& part, const Features& of)
      : features(part.features),
        channel(part.channel),
        frames(of.frames),
        rows(of.rows()),
        channels(of.channels) {}
  float* of(const Run& run) const { return run.at(features) + channel; }
  std::int64_t frame_stride() const { return rows * channels; }
  std::int64_t row_stride() const { return channels; }
};

std::unique_ptr<Layer> make_input(InputLayer layer, const std::vector<Source>& sources,
                                  const Features& out);
std::unique_ptr<Layer> make_conv(ConvLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa);
std::unique_ptr<Layer> make_aggregate(AggregateLayer layer, const Features& value,
                                      const Features& out, const Features* add, const Features* x,
                                      Isa isa);
std::unique_ptr<Layer> make_pool(PoolLayer layer, const Features& x, const Features& out,
                                 const Features* add);
std::unique_ptr<Layer> make_difference(const DifferenceLayer& layer, const Features& x,
                                       const Features& out);
std::unique_ptr<Layer> make_excite(ExciteLayer layer, const Features& x, const Features& out);
std::unique_ptr<Layer> make_classify(ClassifyLayer layer, const Features& x, std::int64_t head);

// means[c] of `rows` rows, `stride` apart, of `channels` each; rows that lie in `frames` frames.
void mean_of_rows(const float* x, std::int64_t frames, std::int64_t frame_stride, std::int64_t rows,
                  std::int64_t row_stride, std::int64_t channels, float* means);

}  // namespace bhar
