// The only file that knows Python. It refuses what the kernels cannot use; it never copies.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bhar_ops/graph_aggregate.h"
#include "bhar_ops/integer_conv.h"
#include "bhar_ops/integer_graph_aggregate.h"
#include "bhar_ops/isa.h"
#include "bhar_ops/network.h"
#include "bhar_ops/pairwise_tanh.h"
#include "bhar_ops/pooled_attention.h"
#include "bhar_ops/refined_aggregate.h"
#include "bhar_ops/shape.h"
#include "bhar_ops/temporal_conv.h"

namespace py = pybind11;

namespace {

std::string type_name(py::handle object) { return py::str(py::type::of(object).attr("__name__")); }

// A dense, aligned float32 array, or std::invalid_argument: there is no silent conversion.
py::array float32_array(const py::object& object, const std::string& name) {
  const std::string wanted = ", expected a C-contiguous float32 numpy array: ";
  if (!py::isinstance<py::array>(object)) {
    throw std::invalid_argument("got " + name + " of type " + type_name(object) + wanted +
                                "convert it with numpy.asarray(" + name + ", numpy.float32)");
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (!py::isinstance<py::array_t<float>>(object)) {
    throw std::invalid_argument("got " + name + " of dtype " + std::string(py::str(array.dtype())) +
                                wanted + "convert it with " + name + ".astype(numpy.float32)");
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw std::invalid_argument("got " + name + " that is not contiguous" + wanted +
                                "copy it with numpy.ascontiguousarray(" + name + ")");
  }
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(float) != 0) {
    throw std::invalid_argument("got " + name + " that is not aligned to 4 bytes" + wanted +
                                "copy it with " + name + ".copy()");
  }
  return array;
}

bhar::Shape shape_of(const py::array& array) {
  return bhar::Shape(array.shape(), array.shape() + array.ndim());
}

bool overlap(const py::array& left, const py::array& right) {
  const auto* l = static_cast<const char*>(left.data());
  const auto* r = static_cast<const char*>(right.data());
  return l < r + right.nbytes() && r < l + left.nbytes();
}

struct Input {
  const char* name;
  const py::array& array;
};

// `out` if it can take the result, a new array if it is None.
py::array_t<float> output_array(const py::object& out, const bhar::Shape& wanted,
                                std::initializer_list<Input> inputs) {
  if (out.is_none()) {
    return py::array_t<float>(std::vector<py::ssize_t>(wanted.begin(), wanted.end()));
  }
  py::array array = float32_array(out, "out");
  if (shape_of(array) != wanted) {
    throw std::invalid_argument("got out of shape " + bhar::to_string(shape_of(array)) +
                                ", expected " + bhar::to_string(wanted) +
                                ": allocate it with that shape or leave it out");
  }
  if (!array.writeable()) {
    throw std::invalid_argument("got a read-only out, expected a writeable array: copy it first");
  }
  for (const Input& input : inputs) {
    if (overlap(array, input.array)) {
      throw std::invalid_argument(std::string("got out that shares memory with ") + input.name +
                                  ", expected its own: copy it");
    }
  }
  return py::reinterpret_borrow<py::array_t<float>>(array);
}

const float* data_of(const py::array& array) { return static_cast<const float*>(array.data()); }

bhar::Isa chosen(const std::optional<std::string>& isa_name) {
  return isa_name ? bhar::isa_from_name(*isa_name) : bhar::active_isa();
}

py::array_t<float> graph_aggregate(const py::object& x_object, const py::object& a_object,
                                   const py::object& out_object,
                                   const std::optional<std::string>& isa_name) {
  const py::array x = float32_array(x_object, "x");
  const py::array a = float32_array(a_object, "a");
  const bhar::Shape x_shape = shape_of(x), a_shape = shape_of(a);
  const auto wanted = bhar::graph_aggregate_shape(x_shape, a_shape);
  auto out = output_array(out_object, {wanted.begin(), wanted.end()}, {{"x", x}, {"a", a}});
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::graph_aggregate(data_of(x), x_shape, data_of(a), a_shape, out_data, isa);
  }
  return out;
}

py::array_t<float> pairwise_tanh(const py::object& to_object, const py::object& from_object,
                                 const py::object& out_object,
                                 const std::optional<std::string>& isa_name) {
  const py::array to = float32_array(to_object, "to");
  const py::array from = float32_array(from_object, "from_");
  const bhar::Shape to_shape = shape_of(to), from_shape = shape_of(from);
  const auto wanted = bhar::pairwise_tanh_shape(to_shape, from_shape);
  auto out =
      output_array(out_object, {wanted.begin(), wanted.end()}, {{"to", to}, {"from_", from}});
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::pairwise_tanh(data_of(to), to_shape, data_of(from), from_shape, out_data, isa);
  }
  return out;
}

py::array_t<float> pooled_attention(const py::object& x_object, const py::object& context_object,
                                    const py::object& query_object,
                                    const py::object& query_bias_object,
                                    const py::object& key_object, const py::object& key_bias_object,
                                    const py::object& directions_object,
                                    const py::object& value_object, const py::object& bias_object,
                                    const py::object& out_object,
                                    const std::optional<std::string>& isa_name) {
  const py::array x = float32_array(x_object, "x");
  const py::array context = float32_array(context_object, "context");
  const py::array query = float32_array(query_object, "query");
  const py::array query_bias = float32_array(query_bias_object, "query_bias");
  const py::array key = float32_array(key_object, "key");
  const py::array key_bias = float32_array(key_bias_object, "key_bias");
  const py::array directions = float32_array(directions_object, "directions");
  const py::array value = float32_array(value_object, "value");
  const py::array bias = float32_array(bias_object, "bias");
  const bhar::PooledAttention attention{
      data_of(query),       data_of(query_bias), data_of(key),       data_of(key_bias),
      data_of(directions),  data_of(value),      data_of(bias),      shape_of(query),
      shape_of(query_bias), shape_of(key),       shape_of(key_bias), shape_of(directions),
      shape_of(value),      shape_of(bias)};
  const bhar::Shape x_shape = shape_of(x), context_shape = shape_of(context);
  const auto wanted = bhar::pooled_attention_shape(x_shape, context_shape, attention);
  auto out = output_array(out_object, {wanted.begin(), wanted.end()},
                          {{"x", x},
                           {"context", context},
                           {"query", query},
                           {"query_bias", query_bias},
                           {"key", key},
                           {"key_bias", key_bias},
                           {"directions", directions},
                           {"value", value},
                           {"bias", bias}});
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::pooled_attention(data_of(x), x_shape, data_of(context), context_shape, attention,
                           out_data, isa);
  }
  return out;
}

py::array_t<float> refined_aggregate(const py::object& value_object,
                                     const py::object& relation_object,
                                     const py::object& weight_object,
                                     const py::object& shift_object, const py::object& a_object,
                                     const py::object& out_object,
                                     const std::optional<std::string>& isa_name) {
  const py::array value = float32_array(value_object, "value");
  const py::array relation = float32_array(relation_object, "relation");
  const py::array weight = float32_array(weight_object, "weight");
  const py::array shift = float32_array(shift_object, "shift");
  const py::array a = float32_array(a_object, "a");
  const bhar::RefinedAggregate problem{
      data_of(value),  data_of(relation),  data_of(weight),  data_of(shift),  data_of(a),
      shape_of(value), shape_of(relation), shape_of(weight), shape_of(shift), shape_of(a)};
  const auto wanted = bhar::refined_aggregate_shape(problem);
  auto out = output_array(
      out_object, {wanted.begin(), wanted.end()},
      {{"value", value}, {"relation", relation}, {"weight", weight}, {"shift", shift}, {"a", a}});
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::refined_aggregate(problem, out_data, isa);
  }
  return out;
}

py::array_t<float> temporal_conv(const py::object& x_object, const py::object& weight_object,
                                 const py::object& bias_object,
                                 const std::vector<std::int64_t>& offsets, std::int64_t stride,
                                 float slope, const py::object& out_object,
                                 const std::optional<std::string>& isa_name) {
  const py::array x = float32_array(x_object, "x");
  const py::array weight = float32_array(weight_object, "weight");
  const py::array bias = float32_array(bias_object, "bias");
  const bhar::Shape x_shape = shape_of(x);
  const bhar::TemporalConv conv{data_of(weight), data_of(bias), shape_of(weight), offsets, slope};
  const auto wanted = bhar::temporal_conv_shape(x_shape, conv, shape_of(bias), stride);
  auto out = output_array(out_object, {wanted.begin(), wanted.end()},
                          {{"x", x}, {"weight", weight}, {"bias", bias}});
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::temporal_conv(data_of(x), x_shape, conv, stride, out_data, isa);
  }
  return out;
}

py::array_t<float> temporal_conv_step(const py::object& ring_object, std::int64_t newest,
                                      const py::object& weight_object,
                                      const py::object& bias_object,
                                      const std::vector<std::int64_t>& offsets, float slope,
                                      const py::object& out_object,
                                      const std::optional<std::string>& isa_name) {
  const py::array ring = float32_array(ring_object, "ring");
  const py::array weight = float32_array(weight_object, "weight");
  const py::array bias = float32_array(bias_object, "bias");
  const bhar::Shape ring_shape = shape_of(ring);
  const bhar::TemporalConv conv{data_of(weight), data_of(bias), shape_of(weight), offsets, slope};
  const auto wanted = bhar::temporal_conv_step_shape(ring_shape, conv, shape_of(bias), newest);
  auto out = output_array(out_object, {wanted.begin(), wanted.end()},
                          {{"ring", ring}, {"weight", weight}, {"bias", bias}});
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::temporal_conv_step(data_of(ring), ring_shape, newest, conv, out_data, isa);
  }
  return out;
}

// Constants of a layer: copied, so that nobody can change or free them.
bhar::Array constants(const py::object& object, const std::string& name) {
  const py::array array = float32_array(object, name);
  const float* data = data_of(array);
  return {shape_of(array), {data, data + array.size()}};
}

template <class Value>
py::array dense(const py::object& object, const char* name, const char* dtype) {
  if (!py::isinstance<py::array_t<Value, py::array::c_style>>(object)) {
    throw std::invalid_argument(std::string("got another ") + name + ", expected a C-contiguous " +
                                dtype + " array: convert it");
  }
  return py::reinterpret_borrow<py::array>(object);
}

// The scale of each output; the step and the zero of the bytes that a weight meets.
using IntegersTuple = std::tuple<py::object, float, std::int64_t>;

// A weight: float32, or int8 if there are scales. Its values go to `integers` then.
bhar::Array weight_of(const py::object& object, const std::optional<IntegersTuple>& tuple,
                      std::optional<bhar::Integers>& integers) {
  if (!tuple) return constants(object, "weight");
  const py::array array = dense<std::int8_t>(object, "weight with scales", "int8");
  const auto* values = static_cast<const std::int8_t*>(array.data());
  const auto& [scale, step, zero] = *tuple;
  integers.emplace(bhar::Integers{
      {values, values + array.size()}, constants(scale, "scale").values, step, zero});
  return {shape_of(array), {}};
}

using PartPair = std::pair<std::int64_t, std::int64_t>;  // features, first channel

bhar::Part part(const PartPair& pair) { return {pair.first, pair.second}; }

std::optional<bhar::Part> part(const std::optional<PartPair>& pair) {
  return pair ? std::optional(part(*pair)) : std::nullopt;
}

// A network and the workspaces of its runs, as many as ever ran at once.
class BoundNetwork {
 public:
  BoundNetwork(const std::vector<std::array<std::int64_t, 4>>& sources, std::int64_t classes,
               bool noisy_or, bool causal, const std::optional<std::string>& isa_name)
      : network(sources_of(sources), classes,
                noisy_or ? bhar::Fusion::kNoisyOr : bhar::Fusion::kMean, causal, chosen(isa_name)) {
  }

  // Clips [N, C, T, V, M]; those of a causal network are streams of T frames, any number.
  py::array_t<float> run(const std::vector<py::object>& objects) {
    Clips clips = clips_of(objects);
    py::array_t<float> logits(std::vector<py::ssize_t>{clips.count, network.classes()});
    run_clips(clips, logits.mutable_data(), nullptr);
    return logits;
  }

  // The same, and the pooled features that were classified: [N, classes], [N, embedding_size].
  py::tuple embed(const std::vector<py::object>& objects) {
    const std::int64_t size = network.embedding_size();
    if (size == 0) throw py::value_error("embed: this network classifies what it never pools");
    Clips clips = clips_of(objects);
    py::array_t<float> logits(std::vector<py::ssize_t>{clips.count, network.classes()});
    py::array_t<float> embedding(std::vector<py::ssize_t>{clips.count, size});
    run_clips(clips, logits.mutable_data(), embedding.mutable_data());
    return py::make_tuple(logits, embedding);
  }

  // The range of what each layer's weight meets in clips, as run() takes them: [layers, 2].
  py::array_t<float> observe(const std::vector<py::object>& objects) {
    std::vector<bhar::Range> ranges(static_cast<std::size_t>(network.layers()));
    observe_clips(clips_of(objects), ranges);
    py::array_t<float> out(std::vector<py::ssize_t>{network.layers(), 2});
    float* to = out.mutable_data();
    for (const bhar::Range& range : ranges) {
      *to++ = range.least;
      *to++ = range.most;
    }
    return out;
  }

  // How much of that lies in each of `bins` parts of [-limit, limit]: [layers, bins].
  py::array_t<std::int64_t> count(const std::vector<py::object>& objects,
                                  const std::vector<float>& limits, py::ssize_t bins) {
    const auto layers = static_cast<py::ssize_t>(network.layers());
    bool above = bins > 0 && static_cast<py::ssize_t>(limits.size()) == layers;
    for (const float limit : limits) above = above && limit > 0 && std::isfinite(limit);
    if (!above) throw py::value_error("count: expected bins, and a limit above 0 for each layer");
    py::array_t<std::int64_t> out(std::vector<py::ssize_t>{layers, bins});
    std::fill_n(out.mutable_data(), layers * bins, 0);
    std::vector<bhar::Range> ranges(limits.size());
    for (std::size_t i = 0; i < limits.size(); ++i) {
      ranges[i].counts = out.mutable_data() + static_cast<py::ssize_t>(i) * bins;
      ranges[i].bins = bins;
      ranges[i].limit = limits[i];
    }
    observe_clips(clips_of(objects), ranges);
    return out;
  }

  // One more frame [C, V, M] of a stream.
  py::array_t<float> step(const std::vector<py::object>& objects, bhar::State& state) {
    const std::vector<py::array> arrays = float32_arrays(objects);
    std::vector<const float*> inputs;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const bhar::Source& s = network.sources()[i];
      expect_shape(arrays[i], i, {s.channels, s.joints, s.persons});
      inputs.push_back(data_of(arrays[i]));
    }
    py::array_t<float> out(static_cast<py::ssize_t>(network.classes()));
    float* logits = out.mutable_data();
    {
      py::gil_scoped_release no_gil;
      with_workspace([&](bhar::Workspace& workspace) {
        network.step(inputs.data(), 1, logits, workspace, state);
      });
    }
    return out;
  }

  // Kind and seconds of each layer, in `rounds` runs or steps on noise.
  py::list profile(std::int64_t rounds) const {
    std::minstd_rand random;
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<std::vector<float>> noise;
    std::vector<const float*> inputs;
    for (const bhar::Source& s : network.sources()) {
      noise.emplace_back(static_cast<std::size_t>(s.channels * s.frames * s.joints * s.persons));
      for (float& value : noise.back()) value = uniform(random);
    }
    for (const std::vector<float>& input : noise) inputs.push_back(input.data());
    py::list times;
    for (const auto& time : network.profile(inputs.data(), rounds)) {
      times.append(py::make_tuple(time.kind, time.seconds));
    }
    return times;
  }

  bhar::Network network;

 private:
  static std::vector<bhar::Source> sources_of(
      const std::vector<std::array<std::int64_t, 4>>& shapes) {
    if (shapes.empty()) throw std::invalid_argument("got no sources, expected at least one");
    std::vector<bhar::Source> sources;
    for (const auto& s : shapes) sources.push_back({s[0], s[1], s[2], s[3]});
    return sources;
  }

  std::vector<py::array> float32_arrays(const std::vector<py::object>& objects) const {
    if (objects.size() != network.sources().size()) {
      throw std::invalid_argument("got " + std::to_string(objects.size()) + " inputs, expected " +
                                  std::to_string(network.sources().size()));
    }
    std::vector<py::array> arrays;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      arrays.push_back(float32_array(objects[i], "input " + std::to_string(i)));
    }
    return arrays;
  }

  static void expect_shape(const py::array& array, std::size_t i, const bhar::Shape& wanted) {
    if (shape_of(array) == wanted) return;
    throw std::invalid_argument("got input " + std::to_string(i) + " of shape " +
                                bhar::to_string(shape_of(array)) + ", expected " +
                                bhar::to_string(wanted));
  }

  // Where the next of `count` clips of so many frames begins, in each input.
  struct Clips {
    std::vector<py::array> arrays;
    std::vector<const float*> inputs;
    std::int64_t count = 0, frames = 0;
  };

  Clips clips_of(const std::vector<py::object>& objects) const {
    Clips clips{float32_arrays(objects), {}};
    const bhar::Shape first = shape_of(clips.arrays[0]);
    clips.count = first.empty() ? 0 : first[0];
    clips.frames = network.sources()[0].frames;
    if (network.causal() && first.size() == 5) clips.frames = std::max<std::int64_t>(first[2], 1);
    for (std::size_t i = 0; i < clips.arrays.size(); ++i) {
      const bhar::Source& s = network.sources()[i];
      expect_shape(clips.arrays[i], i,
                   {clips.count, s.channels, clips.frames, s.joints, s.persons});
      clips.inputs.push_back(data_of(clips.arrays[i]));
    }
    return clips;
  }

  // embedding: of all clips, or null.
  void run_clips(Clips& clips, float* logits, float* embedding) {
    py::gil_scoped_release no_gil;
    with_workspace([&](bhar::Workspace& workspace) {
      for (std::int64_t clip = 0; clip < clips.count; ++clip, logits += network.classes()) {
        run_clip(clips, logits, workspace, embedding);
        if (embedding != nullptr) embedding += network.embedding_size();
      }
    });
  }

  void run_clip(Clips& clips, float* logits, bhar::Workspace& workspace, float* embedding) const {
    if (!network.causal()) network.run(clips.inputs.data(), logits, workspace, embedding);
    bhar::State state;
    for_frames(clips, [&](const float* const* frame) {
      network.step(frame, clips.frames, logits, workspace, state, embedding);
    });
    next(clips);
  }

  void observe_clips(Clips clips, std::vector<bhar::Range>& ranges) {
    py::gil_scoped_release no_gil;
    with_workspace([&](bhar::Workspace& workspace) {
      for (std::int64_t clip = 0; clip < clips.count; ++clip) {
        observe_clip(clips, ranges.data(), workspace);
      }
    });
  }

  void observe_clip(Clips& clips, bhar::Range* ranges, bhar::Workspace& workspace) const {
    if (!network.causal()) network.observe_run(clips.inputs.data(), workspace, ranges);
    bhar::State state;
    for_frames(clips, [&](const float* const* frame) {
      network.observe_step(frame, clips.frames, workspace, state, ranges);
    });
    next(clips);
  }

  // Of a causal network's clip, where each frame begins in each input.
  template <class Work>
  void for_frames(const Clips& clips, const Work& work) const {
    std::vector<const float*> at = clips.inputs;
    for (std::int64_t t = 0; network.causal() && t < clips.frames; ++t) {
      work(at.data());
      for (std::size_t i = 0; i < at.size(); ++i) {
        at[i] += network.sources()[i].joints * network.sources()[i].persons;
      }
    }
  }

  void next(Clips& clips) const {
    for (std::size_t i = 0; i < clips.inputs.size(); ++i) {
      const bhar::Source& s = network.sources()[i];
      clips.inputs[i] += s.channels * clips.frames * s.joints * s.persons;
    }
  }

  template <class Work>
  void with_workspace(const Work& work) {
    std::unique_ptr<bhar::Workspace> workspace = taken();
    work(*workspace);
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  std::unique_ptr<bhar::Workspace> taken() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<bhar::Workspace>();
    std::unique_ptr<bhar::Workspace> last = std::move(free_.back());
    free_.pop_back();
    return last;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<bhar::Workspace>> free_;
};

py::array_t<float> integer_graph_aggregate(const py::object& x_object, const py::object& a_object,
                                           const py::object& scale_object, float step,
                                           std::int64_t zero,
                                           const std::optional<std::string>& isa_name) {
  const py::array x = dense<std::uint8_t>(x_object, "x", "uint8");
  const py::array a = dense<std::int8_t>(a_object, "a", "int8");
  const py::array scale = float32_array(scale_object, "scale");
  const bhar::IntegerGraphAggregate problem{static_cast<const std::uint8_t*>(x.data()),
                                            static_cast<const std::int8_t*>(a.data()),
                                            data_of(scale),
                                            shape_of(x),
                                            shape_of(a),
                                            shape_of(scale),
                                            step,
                                            zero};
  const auto shape = bhar::integer_graph_aggregate_shape(problem);
  py::array_t<float> out(std::vector<py::ssize_t>(shape.begin(), shape.end()));
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::integer_graph_aggregate(problem, out_data, isa);
  }
  return out;
}

py::array_t<float> integer_temporal_conv(const py::object& x_object, const py::object& weight,
                                         const py::object& scale, const py::object& bias,
                                         std::vector<std::int64_t> offsets, float step,
                                         std::int64_t zero, std::int64_t stride, float slope,
                                         const std::optional<std::string>& isa_name) {
  const py::array x = dense<std::uint8_t>(x_object, "x", "uint8");
  bhar::IntegerTemporalConv conv{{}, {}, constants(bias, "bias"), std::move(offsets), slope};
  std::optional<bhar::Integers> integers;
  conv.weight_shape = weight_of(weight, IntegersTuple{scale, step, zero}, integers).shape;
  conv.integers = std::move(*integers);
  const bhar::Shape shape = bhar::integer_temporal_conv_shape(shape_of(x), conv, stride);
  py::array_t<float> out(std::vector<py::ssize_t>(shape.begin(), shape.end()));
  const bhar::Isa isa = chosen(isa_name);
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::integer_temporal_conv(static_cast<const std::uint8_t*>(x.data()), shape_of(x), conv,
                                stride, out_data, isa);
  }
  return out;
}

py::array_t<std::uint8_t> quantize(const py::object& x_object, float step, std::int64_t zero,
                                   const std::optional<std::string>& isa_name) {
  const py::array x = float32_array(x_object, "x");
  bhar::expect_bytes(step, zero);
  py::array_t<std::uint8_t> out(std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
  const bhar::Isa isa = chosen(isa_name);
  std::uint8_t* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::quantize(data_of(x), x.size(), step, zero, out_data, isa);
  }
  return out;
}

void add_input(BoundNetwork& self, const PartPair& out,
               const std::vector<std::array<std::int64_t, 3>>& rows, const py::object& scale,
               const py::object& shift) {
  bhar::InputLayer layer;
  layer.out = part(out);
  for (const auto& row : rows) layer.rows.push_back({row[0], row[1], row[2]});
  layer.scale = constants(scale, "scale");
  layer.shift = constants(shift, "shift");
  self.network.add(std::move(layer));
}

void add_conv(BoundNetwork& self, const PartPair& x, const PartPair& out, const py::object& weight,
              const py::object& bias, const std::vector<std::int64_t>& offsets, std::int64_t stride,
              float slope, const std::optional<PartPair>& add, bool zero_edges,
              const std::vector<float>& fractions, const std::optional<IntegersTuple>& integers) {
  bhar::ConvLayer layer;
  layer.x = part(x);
  layer.out = part(out);
  layer.add = part(add);
  layer.weight = weight_of(weight, integers, layer.integers);
  layer.bias = constants(bias, "bias");
  layer.offsets = offsets;
  layer.stride = stride;
  layer.slope = slope;
  layer.zero_edges = zero_edges;
  layer.fractions = fractions;
  self.network.add(std::move(layer));
}

bhar::Refinement refinement(const py::dict& arrays, std::int64_t window, std::int64_t period) {
  const auto of = [&](const char* name) { return constants(arrays[name], name); };
  return {of("query"),  of("query_bias"), of("key"), of("key_bias"),
          of("weight"), of("shift"),      window,    period};
}

void add_aggregate(BoundNetwork& self, const PartPair& x, const PartPair& out,
                   const py::object& weight, const py::object& weight_bias,
                   const py::object& adjacency, const py::object& bias, float slope,
                   const std::optional<PartPair>& add, const std::optional<py::dict>& refined,
                   std::int64_t refined_window, std::int64_t refined_period,
                   const std::optional<IntegersTuple>& integers) {
  bhar::AggregateLayer layer;
  layer.x = part(x);
  layer.out = part(out);
  layer.add = part(add);
  layer.weight = weight_of(weight, integers, layer.integers);
  layer.weight_bias = constants(weight_bias, "weight_bias");
  layer.adjacency = constants(adjacency, "adjacency");
  layer.bias = constants(bias, "bias");
  layer.slope = slope;
  if (refined) layer.refinement = refinement(*refined, refined_window, refined_period);
  self.network.add(std::move(layer));
}

void add_pool(BoundNetwork& self, const PartPair& x, const PartPair& out, const py::object& scale,
              const py::object& shift, std::int64_t first, std::int64_t last, std::int64_t stride,
              bool mean, float slope, const std::optional<PartPair>& add) {
  bhar::PoolLayer layer;
  layer.x = part(x);
  layer.out = part(out);
  layer.add = part(add);
  layer.scale = constants(scale, "scale");
  layer.shift = constants(shift, "shift");
  layer.first = first;
  layer.last = last;
  layer.stride = stride;
  layer.mean = mean;
  layer.slope = slope;
  self.network.add(std::move(layer));
}

void add_excite(BoundNetwork& self, const PartPair& x, const PartPair& out,
                const py::object& expand, const py::object& expand_bias, const py::object& reduce,
                const py::object& reduce_bias, std::int64_t window) {
  self.network.add(bhar::ExciteLayer{
      part(x), part(out), constants(expand, "expand"), constants(expand_bias, "expand_bias"),
      constants(reduce, "reduce"), constants(reduce_bias, "reduce_bias"), window});
}

void add_classify(BoundNetwork& self, const PartPair& x, const py::object& weight,
                  const py::object& bias, bool greatest_person, std::int64_t window) {
  self.network.add(bhar::ClassifyLayer{part(x), constants(weight, "weight"),
                                       constants(bias, "bias"), greatest_person, window});
}

void add_attention(BoundNetwork& self, const PartPair& query, const PartPair& key,
                   const PartPair& value, const PartPair& out, const py::object& directions,
                   std::int64_t heads, std::int64_t window) {
  self.network.add(bhar::AttentionLayer{part(query), part(key), part(value), part(out),
                                        constants(directions, "directions"), heads, window});
}

void add_pooled_attention(BoundNetwork& self, const PartPair& x, const PartPair& context,
                          const py::object& query, const py::object& query_bias,
                          const py::object& key, const py::object& key_bias,
                          const py::object& directions, const py::object& value,
                          const py::object& bias, std::int64_t window) {
  self.network.add(bhar::PooledAttentionLayer{
      part(x), part(context), constants(query, "query"), constants(query_bias, "query_bias"),
      constants(key, "key"), constants(key_bias, "key_bias"), constants(directions, "directions"),
      constants(value, "value"), constants(bias, "bias"), window});
}

void register_network(py::module_& m) {
  py::class_<bhar::State>(m, "NetworkState")
      .def(py::init<>())
      .def("reset", &bhar::State::reset)
      .def_property_readonly("frames", &bhar::State::frames);
  py::class_<BoundNetwork>(m, "Network")
      .def(py::init<const std::vector<std::array<std::int64_t, 4>>&, std::int64_t, bool, bool,
                    const std::optional<std::string>&>(),
           py::arg("sources"), py::arg("classes"), py::arg("noisy_or") = false,
           py::arg("causal") = false, py::arg("isa") = py::none())
      .def(
          "add_features",
          [](BoundNetwork& self, std::int64_t frames, std::int64_t persons, std::int64_t joints,
             std::int64_t channels) {
            return self.network.add(bhar::Features{frames, persons, joints, channels});
          },
          py::arg("frames"), py::arg("persons"), py::arg("joints"), py::arg("channels"))
      .def("add_input", &add_input, py::arg("out"), py::arg("rows"), py::arg("scale"),
           py::arg("shift"))
      .def("add_conv", &add_conv, py::arg("x"), py::arg("out"), py::arg("weight"), py::arg("bias"),
           py::arg("offsets"), py::arg("stride") = 1, py::arg("slope") = 1.0f,
           py::arg("add") = py::none(), py::arg("zero_edges") = false,
           py::arg("fractions") = std::vector<float>(), py::arg("integers") = py::none())
      .def("add_aggregate", &add_aggregate, py::arg("x"), py::arg("out"), py::arg("weight"),
           py::arg("weight_bias"), py::arg("adjacency"), py::arg("bias"), py::arg("slope") = 1.0f,
           py::arg("add") = py::none(), py::arg("refined") = py::none(),
           py::arg("refined_window") = 0, py::arg("refined_period") = 0,
           py::arg("integers") = py::none())
      .def("add_pool", &add_pool, py::arg("x"), py::arg("out"), py::arg("scale"), py::arg("shift"),
           py::arg("first") = 0, py::arg("last") = 0, py::arg("stride") = 1,
           py::arg("mean") = false, py::arg("slope") = 1.0f, py::arg("add") = py::none())
      .def(
          "add_difference",
          [](BoundNetwork& self, const PartPair& x, const PartPair& out, std::int64_t channels) {
            self.network.add(bhar::DifferenceLayer{part(x), part(out), channels});
          },
          py::arg("x"), py::arg("out"), py::arg("channels"))
      .def("add_excite", &add_excite, py::arg("x"), py::arg("out"), py::arg("expand"),
           py::arg("expand_bias"), py::arg("reduce"), py::arg("reduce_bias"), py::arg("window") = 0)
      .def("add_classify", &add_classify, py::arg("x"), py::arg("weight"), py::arg("bias"),
           py::arg("greatest_person") = false, py::arg("window") = 0)
      .def(
          "add_normalize",
          [](BoundNetwork& self, const PartPair& x, const PartPair& out, std::int64_t channels) {
            self.network.add(bhar::NormalizeLayer{part(x), part(out), channels});
          },
          py::arg("x"), py::arg("out"), py::arg("channels"))
      .def(
          "add_gelu",
          [](BoundNetwork& self, const PartPair& x, const PartPair& out, std::int64_t channels) {
            self.network.add(bhar::GeluLayer{part(x), part(out), channels});
          },
          py::arg("x"), py::arg("out"), py::arg("channels"))
      .def("add_attention", &add_attention, py::arg("query"), py::arg("key"), py::arg("value"),
           py::arg("out"), py::arg("directions"), py::arg("heads"), py::arg("window") = 0)
      .def("add_pooled_attention", &add_pooled_attention, py::arg("x"), py::arg("context"),
           py::arg("query"), py::arg("query_bias"), py::arg("key"), py::arg("key_bias"),
           py::arg("directions"), py::arg("value"), py::arg("bias"), py::arg("window") = 0)
      .def("finish", [](BoundNetwork& self) { self.network.finish(); })
      .def("run", &BoundNetwork::run, py::arg("inputs"))
      .def("embed", &BoundNetwork::embed, py::arg("inputs"))
      .def("observe", &BoundNetwork::observe, py::arg("inputs"))
      .def("count", &BoundNetwork::count, py::arg("inputs"), py::arg("limits"), py::arg("bins"))
      .def("profile", &BoundNetwork::profile, py::arg("rounds"))
      .def("step", &BoundNetwork::step, py::arg("inputs"), py::arg("state"))
      .def_property_readonly("causal",
                             [](const BoundNetwork& self) { return self.network.causal(); })
      .def_property_readonly(
          "receptive_field",
          [](const BoundNetwork& self) { return self.network.receptive_field(); })
      .def_property_readonly("state_bytes",
                             [](const BoundNetwork& self) {
                               return self.network.state_size() *
                                      static_cast<std::int64_t>(sizeof(float));
                             })
      .def_property_readonly("sources",
                             [](const BoundNetwork& self) {
                               std::vector<std::array<std::int64_t, 4>> shapes;
                               for (const bhar::Source& s : self.network.sources()) {
                                 shapes.push_back({s.channels, s.frames, s.joints, s.persons});
                               }
                               return shapes;
                             })
      .def_property_readonly("classes",
                             [](const BoundNetwork& self) { return self.network.classes(); })
      .def_property_readonly("embedding_size",
                             [](const BoundNetwork& self) { return self.network.embedding_size(); })
      .def_property_readonly("isa",
                             [](const BoundNetwork& self) { return isa_name(self.network.isa()); })
      .def_property_readonly("integers",
                             [](const BoundNetwork& self) { return self.network.integers(); })
      .def_property_readonly("multiply_adds",
                             [](const BoundNetwork& self) { return self.network.multiply_adds(); })
      .def_property_readonly("work", [](const BoundNetwork& self) { return self.network.work(); })
      .def_property_readonly("workspace_bytes", [](const BoundNetwork& self) {
        return self.network.workspace_size() * static_cast<std::int64_t>(sizeof(float));
      });
}

void register_isa(py::module_& m) {
  py::register_exception<bhar::UnknownIsaError>(m, "UnknownIsaError", PyExc_ValueError);
  py::register_exception<bhar::UnavailableIsaError>(m, "UnavailableIsaError", PyExc_RuntimeError);
  m.def("active_isa", [] { return bhar::isa_name(bhar::active_isa()); });
  m.def("available_isas", [] {
    py::list names;
    for (const bhar::Isa isa : bhar::available_isas()) names.append(bhar::isa_name(isa));
    return names;
  });
}

void register_graph_aggregate(py::module_& m) {
  m.def("graph_aggregate", &graph_aggregate, py::arg("x"), py::arg("a"),
        py::arg("out") = py::none(), py::arg("isa") = py::none());
}

void register_pairwise_tanh(py::module_& m) {
  m.def("pairwise_tanh", &pairwise_tanh, py::arg("to"), py::arg("from_"),
        py::arg("out") = py::none(), py::arg("isa") = py::none());
}

void register_pooled_attention(py::module_& m) {
  m.def("pooled_attention", &pooled_attention, py::arg("x"), py::arg("context"), py::arg("query"),
        py::arg("query_bias"), py::arg("key"), py::arg("key_bias"), py::arg("directions"),
        py::arg("value"), py::arg("bias"), py::arg("out") = py::none(),
        py::arg("isa") = py::none());
}

void register_refined_aggregate(py::module_& m) {
  m.def("refined_aggregate", &refined_aggregate, py::arg("value"), py::arg("relation"),
        py::arg("weight"), py::arg("shift"), py::arg("a"), py::arg("out") = py::none(),
        py::arg("isa") = py::none());
}

void register_temporal_conv(py::module_& m) {
  m.def("temporal_conv", &temporal_conv, py::arg("x"), py::arg("weight"), py::arg("bias"),
        py::arg("offsets"), py::arg("stride") = 1, py::arg("slope") = 1.0f,
        py::arg("out") = py::none(), py::arg("isa") = py::none());
  m.def("temporal_conv_step", &temporal_conv_step, py::arg("ring"), py::arg("newest"),
        py::arg("weight"), py::arg("bias"), py::arg("offsets"), py::arg("slope") = 1.0f,
        py::arg("out") = py::none(), py::arg("isa") = py::none());
}

void register_integers(py::module_& m) {
  m.def("integer_graph_aggregate", &integer_graph_aggregate, py::arg("x"), py::arg("a"),
        py::arg("scale"), py::arg("step"), py::arg("zero"), py::arg("isa") = py::none());
  m.def("integer_temporal_conv", &integer_temporal_conv, py::arg("x"), py::arg("weight"),
        py::arg("scale"), py::arg("bias"), py::arg("offsets"), py::arg("step"), py::arg("zero"),
        py::arg("stride") = 1, py::arg("slope") = 1.0f, py::arg("isa") = py::none());
  m.def("quantize", &quantize, py::arg("x"), py::arg("step"), py::arg("zero"),
        py::arg("isa") = py::none());
}

}  // namespace

PYBIND11_MODULE(_ops, m) {
  m.doc() = "Compiled kernels of bharsdk; call them through bharsdk.kernels.ops.";
  register_isa(m);
  register_graph_aggregate(m);
  register_pairwise_tanh(m);
  register_pooled_attention(m);
  register_refined_aggregate(m);
  register_temporal_conv(m);
  register_integers(m);
  register_network(m);
}
