// What every layer of a network is, while it runs.
#pragma once

#include <cstdint>

#include "bhar_ops/network.h"
#include "bhar_ops/pooled_attention.h"

namespace bhar {

// One run of a network. Features and scratch memory belong to it alone.
struct Run {
  const float* const* inputs;
  std::int64_t input_frames;    // that lie in memory between two channels of an input
  float* floats;                // all features
  const std::int64_t* offsets;  // of each, in floats
  float* scratch;
  float* unpacked;   // the state of the layer that runs, where a stream keeps it packed
  float* logits;     // [heads, classes]
  float* embedding;  // what heads classify, side by side; null where nobody asks

  float* at(std::int64_t features) const { return floats + offsets[features]; }
};

class Layer {
 public:
  virtual ~Layer() = default;
  virtual const char* kind() const = 0;
  virtual void run(const Run& run) const = 0;
  // Frame `index` of what this layer reads, of a stream. What needs no other frame than this one
  // runs as a clip of one frame.
  virtual void step(const Run& run, float* /*state*/, std::int64_t /*index*/) const {
    this->run(run);
  }
  // Floats that a stream keeps from one frame to the next. A stream's first frame sets all of them.
  virtual std::int64_t state_size() const { return 0; }
  // Whether these may come back rounded.
  virtual bool state_packs() const { return true; }
  // Earlier frames of what it reads that a step looks at.
  virtual std::int64_t looks_back() const { return 0; }
  virtual std::int64_t multiply_adds() const { return 0; }
  // Values that a run touches besides those which it reads and writes once.
  virtual std::int64_t other_values() const { return 0; }
  // Where its weight may be in integers: widens the range of what it meets, and counts that.
  virtual void observe(const Run& /*run*/, Range& /*range*/) const {}
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

// Widens the range by `channels` channels of a part, and counts them.
void widen(const PartShape& part, std::int64_t channels, const Run& run, Range& range);

std::unique_ptr<Layer> make_input(InputLayer layer, const std::vector<Source>& sources,
                                  const Features& out);
std::unique_ptr<Layer> make_conv(ConvLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa);
std::unique_ptr<Layer> make_integer_conv(ConvLayer layer, const Features& x, const Features& out,
                                         const Features* add, Isa isa);
std::unique_ptr<Layer> make_tile_conv(ConvLayer layer, const Features& x, const Features& out,
                                      const Features* add);
std::unique_ptr<Layer> make_aggregate(AggregateLayer layer, const Features& x, const Features& out,
                                      const Features* add, Isa isa);
std::unique_ptr<Layer> make_pool(PoolLayer layer, const Features& x, const Features& out,
                                 const Features* add, Isa isa);
std::unique_ptr<Layer> make_difference(const DifferenceLayer& layer, const Features& x,
                                       const Features& out);
std::unique_ptr<Layer> make_excite(ExciteLayer layer, const Features& x, const Features& out);
std::unique_ptr<Layer> make_classify(ClassifyLayer layer, const Features& x, std::int64_t head,
                                     std::int64_t embedded);
std::unique_ptr<Layer> make_normalize(const NormalizeLayer& layer, const Features& x,
                                      const Features& out);
std::unique_ptr<Layer> make_gelu(const GeluLayer& layer, const Features& x, const Features& out,
                                 Isa isa);
std::unique_ptr<Layer> make_attention(AttentionLayer layer, const Features& query,
                                      const Features& key, const Features& value,
                                      const Features& out, Isa isa);
std::unique_ptr<Layer> make_pooled_attention(PooledAttentionLayer layer, const Features& x,
                                             const Features& context, std::int64_t head, Isa isa);
// The constants of a layer, as the op takes them.
PooledAttention pooled_attention_of(const PooledAttentionLayer& layer);

// The running mean at frame `index`: mean += (x - mean) / frames, of `window` frames at most.
void run_along(const float* x, std::int64_t count, std::int64_t index, std::int64_t window,
               float* mean);

// The `frames` frames of a stream before the newest one, in its state.
class History {
 public:
  History(const PartShape& part, std::int64_t channels, std::int64_t frames)
      : part_(part), channels_(channels), frames_(frames) {}

  std::int64_t frames() const { return frames_; }
  std::int64_t frame_size() const { return part_.rows * channels_; }
  std::int64_t size() const { return frames_ * frame_size(); }
  // The channels of a frame alone, [rows, channels].
  void pack(const float* x, float* packed) const;
  // Before a stream's first frame, packed: copies of it, or zeros.
  void begin(const float* packed, float* state, bool zeros) const;
  // The frame `back` frames before `index`, 1 to `frames`.
  const float* at(const float* state, std::int64_t index, std::int64_t back) const {
    return state + (index + frames_ - back) % frames_ * frame_size();
  }
  // Frame `index` takes the place of the oldest one.
  void keep(const float* packed, float* state, std::int64_t index) const;

 private:
  PartShape part_;
  std::int64_t channels_, frames_;
};

// means[c] of `rows` rows, `stride` apart, of `channels` each; rows that lie in `frames` frames.
void mean_of_rows(const float* x, std::int64_t frames, std::int64_t frame_stride, std::int64_t rows,
                  std::int64_t row_stride, std::int64_t channels, float* means);

}  // namespace bhar
