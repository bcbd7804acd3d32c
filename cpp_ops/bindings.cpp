// The only file that knows Python. It refuses what the kernels cannot use; it never copies.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bhar_ops/graph_aggregate.h"
#include "bhar_ops/isa.h"
#include "bhar_ops/pairwise_tanh.h"
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

}  // namespace

PYBIND11_MODULE(_ops, m) {
  m.doc() = "Compiled kernels of bharsdk; call them through bharsdk.ops.";
  register_isa(m);
  register_graph_aggregate(m);
  register_pairwise_tanh(m);
  register_refined_aggregate(m);
  register_temporal_conv(m);
}
