// What custom ops need of ONNX Runtime's C API, whose headers no package registry ships.
//
// The API is a table of functions that only ever grows at its end, so a place in it holds for every
// later release. Names are ONNX Runtime's own; the numbers are places in its table. Version 16
// (ONNX Runtime 1.16) is the first whose custom ops can return errors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bhar::ort {

inline constexpr std::uint32_t kApiVersion = 16;

struct Status;  // a null pointer is success
struct Value;
struct TensorInfo;
struct SessionOptions;
struct CustomOpDomain;
struct KernelInfo;
struct KernelContext;
struct CustomOp;

enum class ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum class ElementType : int { kFloat = 1 };
enum class Presence : int { kRequired = 0 };
enum class MemoryType : int { kDefault = 0 };

template <std::size_t Count>
using Unused = void* [Count];

struct Api {
  Status* (*CreateStatus)(ErrorCode code, const char* message);  // 0
  Unused<1> unused_1;
  const char* (*GetErrorMessage)(const Status* status);  // 2
  Unused<23> unused_3;
  Status* (*CreateCustomOpDomain)(const char* name, CustomOpDomain** out);        // 26
  Status* (*CustomOpDomain_Add)(CustomOpDomain* domain, const CustomOp* op);      // 27
  Status* (*AddCustomOpDomain)(SessionOptions* options, CustomOpDomain* domain);  // 28
  Unused<22> unused_29;
  Status* (*GetTensorMutableData)(Value* value, void** out);  // 51
  Unused<8> unused_52;
  Status* (*GetTensorElementType)(const TensorInfo* info, ElementType* out);                // 60
  Status* (*GetDimensionsCount)(const TensorInfo* info, std::size_t* out);                  // 61
  Status* (*GetDimensions)(const TensorInfo* info, std::int64_t* out, std::size_t length);  // 62
  Unused<2> unused_63;
  Status* (*GetTensorTypeAndShape)(const Value* value, TensorInfo** out);  // 65
  Unused<19> unused_66;
  Status* (*KernelInfoGetAttribute_float)(const KernelInfo* info, const char* name,
                                          float* out);  // 85
  Status* (*KernelInfoGetAttribute_int64)(const KernelInfo* info, const char* name,
                                          std::int64_t* out);  // 86
  Unused<3> unused_87;
  Status* (*KernelContext_GetInput)(const KernelContext* context, std::size_t index,
                                    const Value** out);  // 90
  Status* (*KernelContext_GetOutput)(KernelContext* context, std::size_t index,
                                     const std::int64_t* shape, std::size_t length,
                                     Value** out);  // 91
  Unused<1> unused_92;
  void (*ReleaseStatus)(Status* status);  // 93
  Unused<5> unused_94;
  void (*ReleaseTensorTypeAndShapeInfo)(TensorInfo* info);  // 99
  Unused<63> unused_100;
  // `size` is the room in `out`, and becomes what is needed; without `out` only that is asked.
  Status* (*KernelInfoGetAttributeArray_int64)(const KernelInfo* info, const char* name,
                                               std::int64_t* out, std::size_t* size);  // 163
};

// A wrong gap above would call another function: the last place shows that they add up.
static_assert(offsetof(Api, KernelInfoGetAttributeArray_int64) == 163 * sizeof(void*));

struct ApiBase {
  const Api* (*GetApi)(std::uint32_t version);  // null for a version that is not known yet
  const char* (*GetVersionString)();
};

// What an op is, as functions that ONNX Runtime calls. Null: superseded, or of lists of inputs.
struct CustomOp {
  std::uint32_t version;
  void* CreateKernel;
  const char* (*GetName)(const CustomOp* op);
  const char* (*GetExecutionProviderType)(const CustomOp* op);  // null is the CPU's
  ElementType (*GetInputType)(const CustomOp* op, std::size_t index);
  std::size_t (*GetInputTypeCount)(const CustomOp* op);
  ElementType (*GetOutputType)(const CustomOp* op, std::size_t index);
  std::size_t (*GetOutputTypeCount)(const CustomOp* op);
  void* KernelCompute;
  void (*KernelDestroy)(void* kernel);
  Presence (*GetInputCharacteristic)(const CustomOp* op, std::size_t index);
  Presence (*GetOutputCharacteristic)(const CustomOp* op, std::size_t index);
  MemoryType (*GetInputMemoryType)(const CustomOp* op, std::size_t index);
  Unused<4> variadic;
  Status* (*CreateKernelV2)(const CustomOp* op, const Api* api, const KernelInfo* info,
                            void** kernel);
  Status* (*KernelComputeV2)(void* kernel, KernelContext* context);
};

}  // namespace bhar::ort
