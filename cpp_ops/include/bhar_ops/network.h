// A trained skeleton model, ready to run: layers over features, in the order in which they run.
//
// Features are dense float32 [frames, persons, joints, channels], channels innermost: a frame is
// one block of memory, a row of it one joint. Layers name the features that they read and write by
// the number that Network::add gave them, and write any part of their channels, so that branches
// meet in one place and nothing is copied to join them. What layers add up and activate is done
// while the sums are still in registers.
//
// A causal network is one whose layers look back and never ahead: its features are of one frame,
// and it runs frame by frame, with a state for every stream. What a convolution or a pooling window
// needs of earlier frames, that layer keeps in the state; means run along, and forget exponentially
// once there were `window` frames. Behind a stride of S layers run at every S-th frame, from the
// first one on.
//
// Everything is checked when a layer is added: shapes that do not fit, or channels that are read
// before a layer wrote them, throw std::invalid_argument with what was got and what was expected.
// A finished network does not change, and may run in many threads, each with a workspace of its
// own.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "bhar_ops/isa.h"
#include "bhar_ops/shape.h"

namespace bhar {

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheLineAllocator() = default;
  template <class Other>
  CacheLineAllocator(const CacheLineAllocator<Other>&) {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, kAlignment); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
  friend bool operator!=(const CacheLineAllocator&, const CacheLineAllocator&) { return false; }
};

using Floats = std::vector<float, CacheLineAllocator<float>>;

// Constants of a layer: a dense array.
struct Array {
  Shape shape;
  Floats values;
};

// The values of a weight in integers, [-kMostInteger, kMostInteger], and what they meet in bytes:
//   weight = values * scale[o],  x = (byte - zero) * step
struct Integers {
  std::vector<std::int8_t> values;
  Floats scale;  // of each output
  float step;
  std::int64_t zero;
};

// From the least to the greatest value, of nothing at first; and, where asked for, how many fell
// into each of `bins` equal parts of [-limit, limit], what is beyond into the first or the last.
struct Range {
  float least = std::numeric_limits<float>::infinity();
  float most = -std::numeric_limits<float>::infinity();
  std::int64_t* counts = nullptr;
  std::int64_t bins = 0;
  float limit = 0;
};

struct Features {
  std::int64_t frames, persons, joints, channels;

  std::int64_t rows() const { return persons * joints; }
  std::int64_t size() const { return frames * rows() * channels; }
};

// The channels of some features from one on; how many is for the layer to know.
struct Part {
  std::int64_t features, channel = 0;
};

// What a network reads: float32 [channels, frames, joints, persons].
struct Source {
  std::int64_t channels, frames, joints, persons;
};

// Joints of the sources into rows, normalized:
//   out[t, row, c] = sources[source][c, t, joint, person] * scale[row, c] + shift[row, c]
struct InputLayer {
  struct Row {
    std::int64_t source, joint, person;
  };
  Part out;
  std::vector<Row> rows;  // of all persons and joints of out
  Array scale, shift;     // [rows, channels]
};

// A convolution over time, in groups of channels (G), of frames `offsets` away from every
// `stride`-th; 1x1 with the only offset 0.
//   out[t] = act(sum_k x[t * stride + offsets[k] + fractions[k]] * weight[:, k] + bias + add[t])
// What lies between two frames is interpolated, linearly.
struct ConvLayer {
  Part x, out;
  std::optional<Part> add;
  Array weight;  // [G, K, I / G, O / G]
  Array bias;    // [O]
  std::vector<std::int64_t> offsets;
  std::int64_t stride = 1;
  float slope = 1.0f;       // of the leaky ReLU: 1 is none, 0 is ReLU
  bool zero_edges = false;  // frames beyond the clip: zero, or else its first and last one
  std::vector<float> fractions = {};                // none: all zero
  std::optional<Integers> integers = std::nullopt;  // instead of the weight's values
};

// How a network refines adjacencies for each person and channel. (Chen et al. 2021, eq. 3 to 8)
//   to, from = query(mean of x over time), key(the same), 1x1 convolutions in G groups to R each
//   adjacency += shift[k, c] + sum_r weight[k, r, c] * tanh(to[w, r] - from[v, r])
struct Refinement {
  Array query, query_bias;  // [G, I / G, K * R], [G, K * R]
  Array key, key_bias;
  Array weight;  // [K, R, C]
  Array shift;   // [K, C]
  // Causal: of the running mean, and for how many frames what it gave is used.
  std::int64_t window = 0, period = 0;
};

// A graph convolution, every person alone: a 1x1 convolution in G groups to K partitions,
// aggregated over the graph while it is in the cache.
//   value = x @ weight + weight_bias, its channels (g, k, c in g)
//   out[t, w, c] = act(sum_k sum_v value[t, v, (g, k, c in g)] * adjacency[k, w, v] + bias + add)
struct AggregateLayer {
  Part x, out;
  std::optional<Part> add;
  Array weight, weight_bias;  // [G, I / G, K * C / G], [K * C]
  Array adjacency;            // [K, W, V]
  Array bias;                 // [C]
  float slope = 1.0f;
  std::optional<Refinement> refinement = std::nullopt;
  std::optional<Integers> integers = std::nullopt;  // instead of the weight's values
};

// The greatest or the mean of frames first to last, seen from every `stride`-th, those within the
// clip alone:  out[t] = act(pooled * scale + shift + add[t]).
struct PoolLayer {
  Part x, out;
  std::optional<Part> add;
  Array scale, shift;  // [C]
  std::int64_t first = 0, last = 0, stride = 1;
  bool mean = false;
  float slope = 1.0f;
};

// out[t] = x[t] - x[t - 1], out[0] = 0.
struct DifferenceLayer {
  Part x, out;
  std::int64_t channels;
};

// Channels weighed, every person alone:
//   out = x * sigmoid(reduce(ReLU(expand(mean of x over time and joints))))
struct ExciteLayer {
  Part x, out;
  Array expand, expand_bias;  // [C, H], [H]
  Array reduce, reduce_bias;  // [H, C], [C]
  std::int64_t window = 0;    // causal: of the running mean
};

// Logits of the mean of x over time and joints, and its mean, or greatest, over persons.
struct ClassifyLayer {
  Part x;
  Array weight, bias;  // [C, classes], [classes]
  bool greatest_person = false;
  std::int64_t window = 0;  // causal: of the running mean
};

// Every row to mean 0 and variance 1 (plus 1e-5) over its channels: LayerNorm without its weights,
// which the layers behind it take in.
struct NormalizeLayer {
  Part x, out;
  std::int64_t channels;
};

// out = x * (1 + erf(x / sqrt(2))) / 2
struct GeluLayer {
  Part x, out;
  std::int64_t channels;
};

// Every row of a query, that is a frame and joint of a person, looks at those of key and value: at
// all of the person of the same number, or of all persons where their numbers differ. Heads have
// D channels each, side by side; phi are their random features (kernels.h). (FAVOR+, Choromanski
// et al. 2021, eq. 5 to 7; the factor D^-1/4 is in queries and keys.)
//   out[q, h] = sum_k phi(query[q, h]) . phi(key[k, h]) * value[k, h] / sum_k (the same products)
// Causal: both sums, over the keys of a frame, are running means over the frames so far.
struct AttentionLayer {
  Part query, key, value, out;
  Array directions;  // [D, J]
  std::int64_t heads;
  std::int64_t window = 0;  // causal: of the running means
};

// A head: the logits are what pooled_attention.h computes of x and context. Causal: of the last
// `window` frames, with joints and persons that pool time by a running mean.
struct PooledAttentionLayer {
  Part x, context;
  Array query, query_bias, key, key_bias, directions, value, bias;  // as there
  std::int64_t window = 0;                                          // causal
};

enum class Fusion { kMean, kNoisyOr };

// What a layer does when it runs; made by Network::add.
class Layer;
struct Run;

// The memory of one run at a time.
class Workspace {
 private:
  friend class Network;
  Floats floats_;
  std::vector<std::int64_t> offsets_;  // of the features
};

// What one stream of a causal network remembers.
class State {
 public:
  // As if no frame had come.
  void reset() { frames_ = 0; }
  std::int64_t frames() const { return frames_; }

 private:
  friend class Network;
  Floats floats_;
  std::int64_t frames_ = 0;
};

class Network {
 public:
  // causal: sources and features have one frame.
  Network(std::vector<Source> sources, std::int64_t classes, Fusion fusion, bool causal, Isa isa);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  std::int64_t add(const Features& features);
  void add(InputLayer layer);
  void add(ConvLayer layer);
  void add(AggregateLayer layer);
  void add(PoolLayer layer);
  void add(DifferenceLayer layer);
  void add(ExciteLayer layer);
  void add(ClassifyLayer layer);
  void add(const NormalizeLayer& layer);
  void add(const GeluLayer& layer);
  void add(AttentionLayer layer);
  void add(PooledAttentionLayer layer);

  // No layer follows; plans the memory.
  void finish();

  const std::vector<Source>& sources() const { return sources_; }
  std::int64_t classes() const { return classes_; }
  // Floats of what its heads classify, side by side: pooled features. 0 where a head classifies
  // what it never pools.
  std::int64_t embedding_size() const { return unpooled_ ? 0 : embedding_size_; }
  Isa isa() const { return isa_; }
  bool causal() const { return causal_; }
  // Multiply-adds of one run, or in the mean of one frame of a causal network.
  double multiply_adds() const { return multiply_adds_; }
  // Of one run or step that every layer takes part in, and some for each value that is touched.
  double work() const { return work_; }
  std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  // What computes weights in integers, as people know it; null where none is.
  const char* integers() const;
  // Floats that a workspace takes.
  std::int64_t workspace_size() const { return workspace_size_; }

  // Floats that a state takes. What would take more than 2 MB is packed (bhar_ops/packed_floats.h).
  std::int64_t state_size() const { return state_size_; }
  // Frames that convolutions and pooling windows of a causal network see, the newest included.
  std::int64_t receptive_field() const;

  // Not causal. inputs: one array for each source. logits: [classes]. embedding: null, or of
  // embedding_size() floats. Allocates at a workspace's first run only.
  void run(const float* const* inputs, float* logits, Workspace& workspace,
           float* embedding = nullptr) const;

  // Causal: one more frame of a stream. inputs: for each source, where in an array [channels, of,
  // joints, persons] the frame begins. embedding: null, or the same memory at every step; a head
  // that does not run at this frame leaves there what its last one was. Allocates at a workspace's
  // and a state's first step only.
  void step(const float* const* inputs, std::int64_t of, float* logits, Workspace& workspace,
            State& state, float* embedding = nullptr) const;

  // As run() or step(); widens, for each layer whose weight may be in integers, the range of what
  // that meets, and counts it.
  void observe_run(const float* const* inputs, Workspace& workspace, Range* ranges) const;
  void observe_step(const float* const* inputs, std::int64_t of, Workspace& workspace, State& state,
                    Range* ranges) const;

  // Seconds that each layer took in `rounds` runs, or steps of a new stream, on the same inputs.
  struct LayerTime {
    const char* kind;
    double seconds;
  };
  std::vector<LayerTime> profile(const float* const* inputs, std::int64_t rounds) const;

 private:
  struct Memory;  // of one features: where it lies, and when it is in use

  const Features& features_of(std::int64_t number) const;
  const Features& reads(const Part& part, std::int64_t channels, const char* name);
  const Features& writes(const Part& part, std::int64_t channels);
  // rate: of what the part is added to.
  const Features* adds(const std::optional<Part>& part, const Part& to, const Features& out,
                       std::int64_t channels, std::int64_t rate);
  // A layer that reads features x and writes `out`, or no features (-1), at every stride-th frame.
  void append(std::unique_ptr<Layer> layer, std::int64_t x, std::int64_t out, std::int64_t stride);
  void expect_looks_back(std::int64_t first, std::int64_t last) const;
  void expect_fractions(const ConvLayer& layer) const;
  void expect_window(const char* name, std::int64_t window) const;
  void run_all(const Run& run, Range* ranges) const;
  void step_all(Run run, State& state, Range* ranges) const;
  void step_layer(std::size_t layer, const Run& run, float* state, std::int64_t index) const;
  void plan_states();
  std::int64_t rate_of(const Part& part) const;
  void expect_rate(const char* name, const Part& part, std::int64_t rate) const;
  Run prepare(const float* const* inputs, std::int64_t of, Workspace& workspace,
              float* embedding = nullptr) const;
  void fuse(const float* heads, float* logits) const;

  std::vector<Source> sources_;
  std::int64_t classes_;
  Fusion fusion_;
  bool causal_;
  Isa isa_;
  std::vector<Memory> memories_;
  std::vector<std::unique_ptr<Layer>> layers_;
  // What a stream keeps of a layer: where, and whether packed.
  struct Kept {
    std::int64_t offset;
    bool packed;
  };
  std::vector<std::int64_t> rates_;  // of a causal network: each layer runs at every n-th frame
  std::vector<Kept> states_;
  std::int64_t heads_ = 0, embedding_size_ = 0, scratch_size_ = 0, unpacked_size_ = 0,
               workspace_size_ = 0, state_size_ = 0;
  double multiply_adds_ = 0, work_ = 0;
  bool finished_ = false, integer_ = false, unpooled_ = false;
};

}  // namespace bhar
