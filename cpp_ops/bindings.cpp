// The only file that knows Python. It refuses what the kernels cannot use; it never copies.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bhar_ops/graph_aggregate.h"
#include "bhar_ops/isa.h"

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

py::array_t<float> output_array(const py::object& out, const std::array<std::int64_t, 4>& wanted,
                                const py::array& x, const py::array& a) {
  if (out.is_none())
    return py::array_t<float>(std::vector<py::ssize_t>(wanted.begin(), wanted.end()));
  py::array array = float32_array(out, "out");
  if (shape_of(array) != bhar::Shape(wanted.begin(), wanted.end())) {
    throw std::invalid_argument("got out of shape " + std::string(py::str(out.attr("shape"))) +
                                ", expected " + std::string(py::str(py::cast(wanted))) +
                                ": allocate it with that shape or leave it out");
  }
  if (!array.writeable()) {
    throw std::invalid_argument("got a read-only out, expected a writeable array: copy it first");
  }
  if (overlap(array, x) || overlap(array, a)) {
    throw std::invalid_argument(
        "got out that shares memory with x or a, expected its own: copy it");
  }
  return py::reinterpret_borrow<py::array_t<float>>(array);
}

py::array_t<float> graph_aggregate(const py::object& x_object, const py::object& a_object,
                                   const py::object& out_object,
                                   const std::optional<std::string>& isa_name) {
  const py::array x = float32_array(x_object, "x");
  const py::array a = float32_array(a_object, "a");
  const bhar::Shape x_shape = shape_of(x), a_shape = shape_of(a);
  auto out = output_array(out_object, bhar::graph_aggregate_shape(x_shape, a_shape), x, a);
  const bhar::Isa isa = isa_name ? bhar::isa_from_name(*isa_name) : bhar::active_isa();

  const auto* x_data = static_cast<const float*>(x.data());
  const auto* a_data = static_cast<const float*>(a.data());
  float* out_data = out.mutable_data();
  {
    py::gil_scoped_release no_gil;
    bhar::graph_aggregate(x_data, x_shape, a_data, a_shape, out_data, isa);
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

}  // namespace

PYBIND11_MODULE(_ops, m) {
  m.doc() = "Compiled kernels of bharsdk; call them through bharsdk.ops.";
  register_isa(m);
  register_graph_aggregate(m);
}
