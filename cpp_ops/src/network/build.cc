// Builds a network layer by layer: every check of what a layer says, then the plan of the memory.

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "bhar_ops/kernels.h"
#include "bhar_ops/network.h"
#include "bhar_ops/packed_floats.h"
#include "bhar_ops/pooled_attention.h"
#include "bhar_ops/temporal_conv.h"
#include "integers.h"
#include "layer.h"
#include "memory.h"

namespace bhar {
namespace {

// Far above any model, and small enough that no product of them overflows.
constexpr std::int64_t kMaxFrames = 1 << 12, kMaxPersons = 1 << 4, kMaxJoints = 1 << 9;
constexpr std::int64_t kMaxChannels = 1 << 13, kMaxStride = 1 << 12;
constexpr std::int64_t kMaxFloats = std::int64_t{1} << 25;  // of one run, and of one stream
// Of one run or step: multiply-adds, and kTouch for each value that a layer reads or writes.
// Seconds on a core of a small board, and several times what the largest model takes.
constexpr double kMaxWork = 2e10, kTouch = 8;
constexpr std::size_t kMaxLayers = 1 << 10;
constexpr std::int64_t kMostState = 2'000'000 / sizeof(float);  // of one stream, if it can be

[[noreturn]] void refuse(const std::string& got, const std::string& expected) {
  throw std::invalid_argument("got " + got + ", expected " + expected);
}

void expect_within(const char* name, std::int64_t got, std::int64_t least, std::int64_t most) {
  if (got < least || got > most) {
    refuse(std::string(name) + " " + std::to_string(got),
           std::to_string(least) + " to " + std::to_string(most));
  }
}

void expect_shape(const char* name, const Array& array, const Shape& expected) {
  if (array.shape != expected) {
    refuse(std::string(name) + " " + to_string(array.shape), to_string(expected));
  }
}

std::int64_t dimension(const char* name, const Array& array, std::size_t axis, std::size_t axes) {
  if (array.shape.size() != axes || array.shape[axis] < 1) {
    refuse(std::string(name) + " " + to_string(array.shape),
           std::to_string(axes) + " dimensions, none of them empty");
  }
  return array.shape[axis];
}

void expect_slope(float slope) {
  if (!(slope >= 0.0f && slope <= 1.0f)) refuse("slope " + std::to_string(slope), "0 to 1");
}

Shape shape_of(const Features& f) { return {f.frames, f.persons, f.joints, f.channels}; }

void expect_frames(const Features& x, const Features& out, std::int64_t stride) {
  expect_within("stride", stride, 1, kMaxStride);
  const Features wanted{(x.frames + stride - 1) / stride, x.persons, x.joints, out.channels};
  if (shape_of(out) != shape_of(wanted)) {
    refuse("features to write " + to_string(shape_of(out)), to_string(shape_of(wanted)));
  }
}

void expect_channels(const Part& part, std::int64_t channels, const Features& features) {
  if (part.channel < 0 || part.channel > features.channels - channels) {
    refuse(std::to_string(channels) + " channels from " + std::to_string(part.channel) +
               " on of features " + to_string(shape_of(features)),
           "a part of them");
  }
}

void expect_other(const Part& x, const Part& out) {
  if (x.features == out.features) refuse("a layer that writes what it reads", "other features");
}

}  // namespace

Network::Network(std::vector<Source> sources, std::int64_t classes, Fusion fusion, bool causal,
                 Isa isa)
    : sources_(std::move(sources)), classes_(classes), fusion_(fusion), causal_(causal), isa_(isa) {
  expect_within("classes", classes, 1, kMaxChannels);
  for (const Source& source : sources_) {
    expect_within("frames", source.frames, 1, causal ? 1 : kMaxFrames);
    expect_within("joints", source.joints, 1, kMaxJoints);
    expect_within("persons", source.persons, 1, kMaxPersons);
    expect_within("channels", source.channels, 1, kMaxChannels);
    if (source.frames != sources_[0].frames) {
      refuse("a source of " + std::to_string(source.frames) + " frames",
             std::to_string(sources_[0].frames) + " as the first one");
    }
  }
}

std::int64_t Network::add(const Features& features) {
  expect_within("frames", features.frames, 1, causal_ ? 1 : kMaxFrames);
  expect_within("persons", features.persons, 1, kMaxPersons);
  expect_within("joints", features.joints, 1, kMaxJoints);
  expect_within("channels", features.channels, 1, kMaxChannels);
  if (memories_.size() >= kMaxLayers)
    refuse("more features", "at most " + std::to_string(kMaxLayers));
  Memory memory;
  memory.features = features;
  memory.written.assign(static_cast<std::size_t>(features.channels), false);
  memories_.push_back(std::move(memory));
  return static_cast<std::int64_t>(memories_.size()) - 1;
}

const Features& Network::features_of(std::int64_t number) const {
  expect_within("features", number, 0, static_cast<std::int64_t>(memories_.size()) - 1);
  return memories_[static_cast<std::size_t>(number)].features;
}

const Features& Network::reads(const Part& part, std::int64_t channels, const char* name) {
  const Features& features = features_of(part.features);
  expect_channels(part, channels, features);
  Memory& memory = memories_[static_cast<std::size_t>(part.features)];
  const auto begin = memory.written.begin() + part.channel;
  if (!std::all_of(begin, begin + channels, [](bool written) { return written; })) {
    refuse(std::string(name) + " of features " + std::to_string(part.features) +
               " that no layer wrote",
           "channels " + std::to_string(part.channel) + " to " +
               std::to_string(part.channel + channels) + " of an earlier layer");
  }
  memory.last = layers_.size();
  return features;
}

const Features& Network::writes(const Part& part, std::int64_t channels) {
  const Features& features = features_of(part.features);
  expect_channels(part, channels, features);
  Memory& memory = memories_[static_cast<std::size_t>(part.features)];
  if (std::none_of(memory.written.begin(), memory.written.end(), [](bool w) { return w; })) {
    memory.first = layers_.size();
  }
  std::fill_n(memory.written.begin() + part.channel, channels, true);
  memory.last = layers_.size();
  return features;
}

const Features* Network::adds(const std::optional<Part>& part, const Part& to, const Features& out,
                              std::int64_t channels, std::int64_t rate) {
  if (!part) return nullptr;
  expect_other(*part, to);
  const Features& features = reads(*part, channels, "what is added,");
  expect_rate("what is added,", *part, rate);
  expect_frames(features, Features{out.frames, out.persons, out.joints, features.channels}, 1);
  return &features;
}

void Network::append(std::unique_ptr<Layer> layer, std::int64_t x, std::int64_t out,
                     std::int64_t stride) {
  if (finished_) refuse("a layer for a finished network", "all layers before finish()");
  if (layers_.size() >= kMaxLayers) refuse("more layers", "at most " + std::to_string(kMaxLayers));
  std::int64_t rate = 1, sees = 1;
  if (x >= 0) {
    const Memory& read = memories_[static_cast<std::size_t>(x)];
    rate = read.rate;
    sees = read.sees + layer->looks_back() * rate;
  }
  if (out >= 0) {
    Memory& written = memories_[static_cast<std::size_t>(out)];
    expect_within("a stride that leads to frames of the input in one,", rate * stride, 1,
                  kMaxStride);
    if (causal_ && written.rate != 0 && written.rate != rate * stride) {
      refuse("parts of features at every " + std::to_string(rate * stride) + ". frame",
             "at every " + std::to_string(written.rate) + ". as the other parts");
    }
    written.rate = rate * stride;
    written.sees = std::max(written.sees, sees);
  }
  multiply_adds_ += static_cast<double>(layer->multiply_adds()) /
                    (causal_ ? static_cast<double>(rate * stride) : 1.0);
  double touched = static_cast<double>(layer->other_values());
  for (const std::int64_t features : {x, out}) {
    if (features >= 0) touched += static_cast<double>(features_of(features).size());
  }
  work_ += static_cast<double>(layer->multiply_adds()) + kTouch * touched;
  if (work_ > kMaxWork) {
    refuse("a network of " + std::to_string(work_ / 1e9) + "e9 operations",
           "at most " + std::to_string(kMaxWork / 1e9) + "e9");
  }
  scratch_size_ = std::max(scratch_size_, layer->scratch_size());
  rates_.push_back(rate);
  layers_.push_back(std::move(layer));
}

void Network::expect_looks_back(std::int64_t first, std::int64_t last) const {
  if (!causal_) return;
  expect_within("an offset of a causal network", first, -kMaxFrames, 0);
  expect_within("an offset of a causal network", last, -kMaxFrames, 0);
}

void Network::expect_window(const char* name, std::int64_t window) const {
  expect_within(name, window, causal_ ? 1 : 0, causal_ ? std::int64_t{1} << 30 : 0);
}

std::int64_t Network::rate_of(const Part& part) const {
  return memories_[static_cast<std::size_t>(part.features)].rate;
}

// Layers run at the rate of their input; anything else that they read must come as often. In a
// network of clips the numbers of frames say so.
void Network::expect_rate(const char* name, const Part& part, std::int64_t rate) const {
  if (causal_ && rate_of(part) != rate) {
    refuse(std::string(name) + " of features at every " + std::to_string(rate_of(part)) + ". frame",
           "at every " + std::to_string(rate) + ". as the layer that reads them");
  }
}

void Network::add(InputLayer layer) {
  const std::int64_t channels = dimension("scale", layer.scale, 1, 2);
  const Features& out = writes(layer.out, channels);
  expect_shape("scale", layer.scale, {out.rows(), channels});
  expect_shape("shift", layer.shift, layer.scale.shape);
  if (static_cast<std::int64_t>(layer.rows.size()) != out.rows()) {
    refuse(std::to_string(layer.rows.size()) + " rows",
           "one for each of " + to_string(shape_of(out)));
  }
  for (const InputLayer::Row& row : layer.rows) {
    expect_within("source", row.source, 0, static_cast<std::int64_t>(sources_.size()) - 1);
    const Source& source = sources_[static_cast<std::size_t>(row.source)];
    expect_within("joint", row.joint, 0, source.joints - 1);
    expect_within("person", row.person, 0, source.persons - 1);
    if (source.channels != channels || source.frames != out.frames) {
      refuse("a source of " + std::to_string(source.channels) + " channels and " +
                 std::to_string(source.frames) + " frames",
             std::to_string(channels) + " and " + std::to_string(out.frames));
    }
  }
  const std::int64_t written = layer.out.features;
  append(make_input(std::move(layer), sources_, out), -1, written, 1);
}

void Network::expect_fractions(const ConvLayer& layer) const {
  const std::vector<float>& fractions = layer.fractions;
  if (!fractions.empty() && layer.integers) {
    refuse("fractions of a weight in integers", "whole frames: what lies between two has no byte");
  }
  if (!fractions.empty() && fractions.size() != layer.offsets.size()) {
    refuse(std::to_string(fractions.size()) + " fractions",
           "none, or one for each of " + std::to_string(layer.offsets.size()) + " offsets");
  }
  for (std::size_t k = 0; k < fractions.size(); ++k) {
    if (!(fractions[k] >= 0.0f && fractions[k] <= 1.0f)) {
      refuse("fraction " + std::to_string(fractions[k]), "0 to 1");
    }
    if (fractions[k] > 0.0f) expect_looks_back(layer.offsets[k], layer.offsets[k] + 1);
  }
}

void Network::add(ConvLayer layer) {
  const std::int64_t groups = dimension("weight", layer.weight, 0, 4);
  const std::int64_t taps = dimension("weight", layer.weight, 1, 4);
  const std::int64_t inputs = groups * dimension("weight", layer.weight, 2, 4);
  const std::int64_t in_group = dimension("weight", layer.weight, 3, 4),
                     outputs = groups * in_group;
  expect_shape("bias", layer.bias, {outputs});
  if (layer.integers) {
    const std::int64_t in_each = layer.weight.shape[2];
    expect_integers(*layer.integers, in_each, outputs, taps * in_each);
  }
  expect_slope(layer.slope);
  if (static_cast<std::int64_t>(layer.offsets.size()) != taps || taps > kMaxTaps) {
    refuse(std::to_string(layer.offsets.size()) + " offsets",
           "one for each of the taps of weight " + to_string(layer.weight.shape) + ", at most " +
               std::to_string(kMaxTaps));
  }
  for (const std::int64_t offset : layer.offsets) {
    expect_within("offset", offset, -kMaxFrames, kMaxFrames);
    expect_looks_back(offset, offset);
  }
  expect_fractions(layer);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, inputs, "the input,");
  const Features& out = writes(layer.out, outputs);
  expect_frames(x, out, layer.stride);
  const Features* add = adds(layer.add, layer.out, out, outputs, rate_of(layer.x) * layer.stride);
  integer_ |= layer.integers.has_value();
  const std::int64_t read = layer.x.features, written = layer.out.features, stride = layer.stride;
  append(make_conv(std::move(layer), x, out, add, isa_), read, written, stride);
}

void Network::add(AggregateLayer layer) {
  const std::int64_t partitions = dimension("adjacency", layer.adjacency, 0, 3);
  const std::int64_t channels = dimension("bias", layer.bias, 0, 1);
  const std::int64_t groups = dimension("weight", layer.weight, 0, 3);
  const std::int64_t in_group = dimension("weight", layer.weight, 1, 3);
  if (channels % (groups * kChannelBlock) != 0) {
    refuse(std::to_string(channels) + " channels in " + std::to_string(groups) + " groups",
           "groups of a multiple of " + std::to_string(kChannelBlock));
  }
  expect_shape("weight", layer.weight, {groups, in_group, partitions * channels / groups});
  expect_shape("weight_bias", layer.weight_bias, {partitions * channels});
  if (layer.integers) expect_integers(*layer.integers, in_group, partitions * channels, in_group);
  expect_slope(layer.slope);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, groups * in_group, "the input,");
  expect_shape("adjacency", layer.adjacency, {partitions, x.joints, x.joints});
  if (layer.refinement) {
    Refinement& r = *layer.refinement;
    const std::int64_t relations = dimension("refining weight", r.weight, 1, 3);
    expect_within("relations", relations, 1, kMaxRelations);
    expect_shape("query", r.query, {groups, in_group, partitions * relations});
    expect_shape("query_bias", r.query_bias, {groups, partitions * relations});
    expect_shape("key", r.key, r.query.shape);
    expect_shape("key_bias", r.key_bias, r.query_bias.shape);
    expect_shape("refining weight", r.weight, {partitions, relations, channels});
    expect_shape("shift", r.shift, {partitions, channels});
    expect_window("window", r.window);
    expect_window("period", r.period);
  }
  const Features& out = writes(layer.out, channels);
  expect_frames(x, out, 1);
  const Features* add = adds(layer.add, layer.out, out, channels, rate_of(layer.x));
  integer_ |= layer.integers.has_value();
  const std::int64_t read = layer.x.features, written = layer.out.features;
  append(make_aggregate(std::move(layer), x, out, add, isa_), read, written, 1);
}

void Network::add(PoolLayer layer) {
  const std::int64_t channels = dimension("scale", layer.scale, 0, 1);
  expect_shape("shift", layer.shift, {channels});
  expect_within("first", layer.first, -kMaxFrames, 0);
  expect_within("last", layer.last, 0, kMaxFrames);
  expect_within("frames of a pooling window,", layer.last - layer.first + 1, 1, kMaxTaps);
  expect_looks_back(layer.first, layer.last);
  expect_slope(layer.slope);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, channels, "the input,");
  const Features& out = writes(layer.out, channels);
  expect_frames(x, out, layer.stride);
  const Features* add = adds(layer.add, layer.out, out, channels, rate_of(layer.x) * layer.stride);
  const std::int64_t read = layer.x.features, written = layer.out.features, stride = layer.stride;
  append(make_pool(std::move(layer), x, out, add, isa_), read, written, stride);
}

void Network::add(DifferenceLayer layer) {
  expect_within("channels", layer.channels, 1, kMaxChannels);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, layer.channels, "the input,");
  const Features& out = writes(layer.out, layer.channels);
  expect_frames(x, out, 1);
  append(make_difference(layer, x, out), layer.x.features, layer.out.features, 1);
}

void Network::add(ExciteLayer layer) {
  const std::int64_t channels = dimension("expand", layer.expand, 0, 2);
  const std::int64_t hidden = dimension("expand", layer.expand, 1, 2);
  expect_shape("expand_bias", layer.expand_bias, {hidden});
  expect_shape("reduce", layer.reduce, {hidden, channels});
  expect_shape("reduce_bias", layer.reduce_bias, {channels});
  expect_window("window", layer.window);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, channels, "the input,");
  const Features& out = writes(layer.out, channels);
  expect_frames(x, out, 1);
  const std::int64_t read = layer.x.features, written = layer.out.features;
  append(make_excite(std::move(layer), x, out), read, written, 1);
}

void Network::add(ClassifyLayer layer) {
  const std::int64_t channels = dimension("weight", layer.weight, 0, 2);
  expect_shape("weight", layer.weight, {channels, classes_});
  expect_shape("bias", layer.bias, {classes_});
  expect_window("window", layer.window);
  const Features& x = reads(layer.x, channels, "the input,");
  const std::int64_t read = layer.x.features;
  append(make_classify(std::move(layer), x, heads_, embedding_size_), read, -1, 1);
  embedding_size_ += channels;
  ++heads_;
}

void Network::add(const NormalizeLayer& layer) {
  expect_within("channels", layer.channels, 1, kMaxChannels);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, layer.channels, "the input,");
  const Features& out = writes(layer.out, layer.channels);
  expect_frames(x, out, 1);
  append(make_normalize(layer, x, out), layer.x.features, layer.out.features, 1);
}

void Network::add(const GeluLayer& layer) {
  expect_within("channels", layer.channels, 1, kMaxChannels);
  expect_other(layer.x, layer.out);
  const Features& x = reads(layer.x, layer.channels, "the input,");
  const Features& out = writes(layer.out, layer.channels);
  expect_frames(x, out, 1);
  append(make_gelu(layer, x, out, isa_), layer.x.features, layer.out.features, 1);
}

void Network::add(AttentionLayer layer) {
  expect_window("window", layer.window);
  const std::int64_t width = dimension("directions", layer.directions, 0, 2);
  expect_within("random features", dimension("directions", layer.directions, 1, 2), 1,
                kMaxChannels);
  expect_within("heads", layer.heads, 1, kMaxChannels);
  expect_within("width of a head", width, 1, kMaxChannels);
  const std::int64_t channels = layer.heads * width;
  for (const Part& part : {layer.query, layer.key, layer.value}) expect_other(part, layer.out);
  const Features& query = reads(layer.query, channels, "the query,");
  const Features& key = reads(layer.key, channels, "the key,");
  const Features& value = reads(layer.value, channels, "the value,");
  expect_frames(key, Features{value.frames, value.persons, value.joints, key.channels}, 1);
  expect_rate("the key,", layer.key, rate_of(layer.query));
  expect_rate("the value,", layer.value, rate_of(layer.query));
  const Features& out = writes(layer.out, channels);
  expect_frames(query, out, 1);
  const std::int64_t read = layer.query.features, written = layer.out.features;
  append(make_attention(std::move(layer), query, key, value, out, isa_), read, written, 1);
}

void Network::add(PooledAttentionLayer layer) {
  expect_window("window", layer.window);
  expect_within("window of tokens", layer.window, 0, kMaxFrames);
  const std::int64_t channels = dimension("query", layer.query, 1, 3);
  check_pooled_attention(pooled_attention_of(layer), channels);
  expect_shape("bias", layer.bias, {classes_});
  const Features& x = reads(layer.x, channels, "the input,");
  const Features& context = reads(layer.context, channels, "the context,");
  expect_rate("the context,", layer.context, rate_of(layer.x));
  const std::int64_t read = layer.x.features;
  append(make_pooled_attention(std::move(layer), x, context, heads_, isa_), read, -1, 1);
  unpooled_ = true;
  ++heads_;
}

// First fit in the order of the layers: features that are no longer read make room.
void Network::finish() {
  if (heads_ == 0) refuse("a network without a head", "at least one");
  if (finished_) refuse("a finished network", "finish() once");
  std::vector<Memory*> placed;
  std::int64_t end = 0;
  for (Memory& memory : memories_) {
    const std::int64_t size = align(memory.features.size());
    std::int64_t offset = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (const Memory* other : placed) {
        const std::int64_t after = other->offset + align(other->features.size());
        const bool together = memory.first <= other->last && other->first <= memory.last;
        if (together && offset < after && other->offset < offset + size) {
          offset = after;
          moved = true;
        }
      }
    }
    memory.offset = offset;
    end = std::max(end, offset + size);
    placed.push_back(&memory);
  }
  if (causal_) plan_states();
  workspace_size_ = end + align(scratch_size_) + align(unpacked_size_) + heads_ * classes_;
  for (const std::int64_t floats : {workspace_size_, state_size_}) {
    if (floats > kMaxFloats) {
      refuse("a network that needs " + std::to_string(floats) + " floats of memory",
             "at most " + std::to_string(kMaxFloats));
    }
  }
  finished_ = true;
}

// One layer's after the other's, then what heads said last. Where that is too much, the largest are
// packed, no more of them than it takes.
void Network::plan_states() {
  std::vector<std::int64_t> sizes(layers_.size());
  std::vector<std::size_t> largest;
  std::int64_t all = heads_ * classes_;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    sizes[i] = align(layers_[i]->state_size());
    all += sizes[i];
    if (layers_[i]->state_packs()) largest.push_back(i);
  }
  std::sort(largest.begin(), largest.end(), [&](std::size_t a, std::size_t b) {
    return sizes[a] == sizes[b] ? a < b : sizes[a] > sizes[b];
  });
  std::vector<bool> packed(layers_.size());
  for (auto i = largest.begin(); i != largest.end() && all > kMostState; ++i) {
    const std::int64_t size = layers_[*i]->state_size(), less = align(packed_size(size));
    if (less >= sizes[*i]) break;
    packed[*i] = true;
    all -= sizes[*i] - less;
    sizes[*i] = less;
    unpacked_size_ = std::max(unpacked_size_, size);
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    states_.push_back({state_size_, packed[i]});
    state_size_ += sizes[i];
  }
  state_size_ += heads_ * classes_;
}

}  // namespace bhar
