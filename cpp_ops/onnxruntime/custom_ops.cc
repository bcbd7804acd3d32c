// The kernels as custom ops of ONNX Runtime, in the domain "bharsdk": GraphAggregate, PairwiseTanh,
// RefinedAggregate and TemporalConv. Inputs, outputs and bounds are those of the headers of the
// same names.

#include <array>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "bhar_ops/graph_aggregate.h"
#include "bhar_ops/isa.h"
#include "bhar_ops/pairwise_tanh.h"
#include "bhar_ops/refined_aggregate.h"
#include "bhar_ops/shape.h"
#include "bhar_ops/temporal_conv.h"
#include "c_api.h"

namespace bhar::ort {
namespace {

constexpr const char* kDomain = "bharsdk";

void require(const Api& api, Status* status) {
  if (status == nullptr) return;
  const std::string message = api.GetErrorMessage(status);
  api.ReleaseStatus(status);
  throw std::runtime_error(message);
}

// Runs `body` and returns what it throws as a status: no exception may reach ONNX Runtime, which
// may have been built with another C++ library.
template <typename Body>
Status* guarded(const Api& api, const char* name, const Body& body) noexcept {
  const auto status = [&](ErrorCode code, const std::exception& error) {
    return api.CreateStatus(code, (std::string(name) + ": " + error.what()).c_str());
  };
  try {
    body();
    return nullptr;
  } catch (const std::invalid_argument& error) {
    return status(ErrorCode::kInvalidArgument, error);
  } catch (const std::exception& error) {
    return status(ErrorCode::kFail, error);
  }
}

// Attributes of a node. All of an op's must be there: a misspelt one would else be its default.
class Attributes {
 public:
  Attributes(const Api& api, const KernelInfo* info) : api_(api), info_(info) {}

  float number(const char* name) const {
    float value = 0.0f;
    expect(name, "a float", api_.KernelInfoGetAttribute_float(info_, name, &value));
    return value;
  }

  std::int64_t integer(const char* name) const {
    std::int64_t value = 0;
    expect(name, "an integer", api_.KernelInfoGetAttribute_int64(info_, name, &value));
    return value;
  }

  std::vector<std::int64_t> integers(const char* name) const {
    const auto get = [&](std::int64_t* out, std::size_t* size) {
      expect(name, "integers", api_.KernelInfoGetAttributeArray_int64(info_, name, out, size));
    };
    std::size_t size = 0;
    get(nullptr, &size);
    std::vector<std::int64_t> values(size);
    if (size > 0) get(values.data(), &size);
    return values;
  }

 private:
  void expect(const char* name, const char* kind, Status* status) const {
    if (status == nullptr) return;
    api_.ReleaseStatus(status);
    throw std::invalid_argument(std::string("got no attribute ") + name + " that is " + kind +
                                ", expected one: give the node its " + name);
  }

  const Api& api_;
  const KernelInfo* info_;
};

struct Tensor {
  const float* data;
  Shape shape;
};

// The tensors of one run of a node.
class Run {
 public:
  Run(const Api& api, KernelContext* context) : api_(api), context_(context) {}

  Tensor input(std::size_t index, const char* name) const {
    const Value* value = nullptr;
    require(api_, api_.KernelContext_GetInput(context_, index, &value));
    return {data_of(const_cast<Value*>(value)), shape_of(value, name)};
  }

  template <std::size_t Rank>
  float* output(const std::array<std::int64_t, Rank>& shape) const {
    Value* value = nullptr;
    require(api_, api_.KernelContext_GetOutput(context_, 0, shape.data(), Rank, &value));
    return data_of(value);
  }

 private:
  float* data_of(Value* value) const {
    void* data = nullptr;
    require(api_, api_.GetTensorMutableData(value, &data));
    return static_cast<float*>(data);
  }

  // Of a float32 tensor. Graphs are checked as they load; this is where memory is at stake.
  Shape shape_of(const Value* value, const char* name) const {
    TensorInfo* info = nullptr;
    require(api_, api_.GetTensorTypeAndShape(value, &info));
    ElementType type{};
    std::size_t rank = 0;
    Shape shape;
    Status* status = api_.GetTensorElementType(info, &type);
    if (status == nullptr) status = api_.GetDimensionsCount(info, &rank);
    if (status == nullptr) {
      shape.resize(rank);
      status = api_.GetDimensions(info, shape.data(), rank);
    }
    api_.ReleaseTensorTypeAndShapeInfo(info);
    require(api_, status);
    if (type != ElementType::kFloat) {
      throw std::invalid_argument(std::string("got ") + name + " of ONNX element type " +
                                  std::to_string(static_cast<int>(type)) +
                                  ", expected 1, float32: cast it");
    }
    return shape;
  }

  const Api& api_;
  KernelContext* context_;
};

struct GraphAggregateOp {
  static constexpr const char* kName = "GraphAggregate";
  static constexpr std::size_t kInputs = 2;

  explicit GraphAggregateOp(const Attributes&) {}

  void run(const Run& run, Isa isa) const {
    const Tensor x = run.input(0, "x"), a = run.input(1, "a");
    float* out = run.output(graph_aggregate_shape(x.shape, a.shape));
    graph_aggregate(x.data, x.shape, a.data, a.shape, out, isa);
  }
};

struct PairwiseTanhOp {
  static constexpr const char* kName = "PairwiseTanh";
  static constexpr std::size_t kInputs = 2;

  explicit PairwiseTanhOp(const Attributes&) {}

  void run(const Run& run, Isa isa) const {
    const Tensor to = run.input(0, "to"), from = run.input(1, "from");
    float* out = run.output(pairwise_tanh_shape(to.shape, from.shape));
    pairwise_tanh(to.data, to.shape, from.data, from.shape, out, isa);
  }
};

struct RefinedAggregateOp {
  static constexpr const char* kName = "RefinedAggregate";
  static constexpr std::size_t kInputs = 5;

  explicit RefinedAggregateOp(const Attributes&) {}

  void run(const Run& run, Isa isa) const {
    const Tensor value = run.input(0, "value"), relation = run.input(1, "relation");
    const Tensor weight = run.input(2, "weight"), shift = run.input(3, "shift");
    const Tensor a = run.input(4, "a");
    const RefinedAggregate problem{value.data,  relation.data,  weight.data,  shift.data,  a.data,
                                   value.shape, relation.shape, weight.shape, shift.shape, a.shape};
    float* out = run.output(refined_aggregate_shape(problem));
    refined_aggregate(problem, out, isa);
  }
};

class TemporalConvOp {
 public:
  static constexpr const char* kName = "TemporalConv";
  static constexpr std::size_t kInputs = 3;

  explicit TemporalConvOp(const Attributes& attributes)
      : offsets_(attributes.integers("offsets")),
        stride_(attributes.integer("stride")),
        slope_(attributes.number("slope")) {}

  void run(const Run& run, Isa isa) const {
    const Tensor x = run.input(0, "x"), weight = run.input(1, "weight");
    const Tensor bias = run.input(2, "bias");
    const TemporalConv conv{weight.data, bias.data, weight.shape, offsets_, slope_};
    float* out = run.output(temporal_conv_shape(x.shape, conv, bias.shape, stride_));
    temporal_conv(x.data, x.shape, conv, stride_, out, isa);
  }

 private:
  std::vector<std::int64_t> offsets_;
  std::int64_t stride_;
  float slope_;
};

// A node of a graph: its op, and all that it needs to run. Immutable, as sessions run in threads.
template <typename Op>
struct Kernel {
  const Api& api;
  const Op op;
  const Isa isa;
};

template <typename Op>
Status* create_kernel(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, Op::kName,
                 [&] { *kernel = new Kernel<Op>{*api, Op(Attributes(*api, info)), active_isa()}; });
}

template <typename Op>
Status* compute(void* kernel, KernelContext* context) {
  const auto& node = *static_cast<const Kernel<Op>*>(kernel);
  return guarded(node.api, Op::kName, [&] { node.op.run(Run(node.api, context), node.isa); });
}

template <typename Op>
constexpr CustomOp table() {
  CustomOp op{};
  op.version = kApiVersion;
  op.GetName = [](const CustomOp*) { return Op::kName; };
  op.GetExecutionProviderType = [](const CustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const CustomOp*, std::size_t) { return ElementType::kFloat; };
  op.GetInputTypeCount = [](const CustomOp*) { return Op::kInputs; };
  op.GetOutputType = [](const CustomOp*, std::size_t) { return ElementType::kFloat; };
  op.GetOutputTypeCount = [](const CustomOp*) { return std::size_t{1}; };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel<Op>*>(kernel); };
  op.GetInputCharacteristic = [](const CustomOp*, std::size_t) { return Presence::kRequired; };
  op.GetOutputCharacteristic = [](const CustomOp*, std::size_t) { return Presence::kRequired; };
  op.GetInputMemoryType = [](const CustomOp*, std::size_t) { return MemoryType::kDefault; };
  op.CreateKernelV2 = create_kernel<Op>;
  op.KernelComputeV2 = compute<Op>;
  return op;
}

constexpr CustomOp kOps[] = {table<GraphAggregateOp>(), table<PairwiseTanhOp>(),
                             table<RefinedAggregateOp>(), table<TemporalConvOp>()};

CustomOpDomain* make_domain(const Api& api) {
  CustomOpDomain* domain = nullptr;
  require(api, api.CreateCustomOpDomain(kDomain, &domain));
  for (const CustomOp& op : kOps) require(api, api.CustomOpDomain_Add(domain, &op));
  return domain;
}

}  // namespace
}  // namespace bhar::ort

// What SessionOptions.register_custom_ops_library looks for and calls.
extern "C" __attribute__((visibility("default"))) bhar::ort::Status* RegisterCustomOps(
    bhar::ort::SessionOptions* options, const bhar::ort::ApiBase* base) {
  using namespace bhar::ort;
  const Api* api = base->GetApi(kApiVersion);
  if (api == nullptr) {
    const std::string message = std::string("got ONNX Runtime ") + base->GetVersionString() +
                                ", expected 1.16 or later: pip install 'onnxruntime>=1.18'";
    return base->GetApi(1)->CreateStatus(ErrorCode::kFail, message.c_str());
  }
  return guarded(*api, kDomain, [&] {
    // One for the process, never released: sessions may live as long as it does.
    static CustomOpDomain* const domain = make_domain(*api);
    require(*api, api->AddCustomOpDomain(options, domain));
  });
}
