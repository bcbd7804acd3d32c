// From an instruction set to the kernel that is written for it.
#pragma once

#include <cstddef>
#include <string>

#include "bhar_ops/isa.h"
#include "bhar_ops/kernels.h"

namespace bhar {

// A reference: kernels are null pointers until static initialization has filled them in.
template <typename Kernel>
struct KernelRow {
  Isa isa;
  const Kernel& kernel;
};

// What an instruction set is made of, where it has no kernel of its own.
constexpr Isa base_of(Isa isa) { return isa == Isa::kAmx ? Isa::kAvx512 : isa; }

// Throws UnavailableIsaError when this build has no such kernel; never takes another one.
template <typename Kernel, std::size_t Count>
Kernel kernel_for(const KernelRow<Kernel> (&rows)[Count], Isa isa, const char* operation) {
  for (const Isa wanted : {isa, base_of(isa)}) {
    for (const KernelRow<Kernel>& row : rows) {
      if (row.isa == wanted && row.kernel != nullptr) return row.kernel;
    }
  }
  throw UnavailableIsaError(std::string("got instruction set '") + isa_name(isa) +
                            "', which this build has no " + operation + " for: force another one");
}

// For what is made of several kernels; they throw as kernel_for does.
PairwiseTanhFn pairwise_tanh_kernel(Isa isa);
RefinedAggregateFn refined_aggregate_kernel(Isa isa);
TemporalConvFn temporal_conv_kernel(Isa isa);
TemporalPoolFn temporal_pool_kernel(Isa isa);
RandomFeaturesFn random_features_kernel(Isa isa);
GeluFn gelu_kernel(Isa isa);

// Every instruction set has integer kernels; with AVX-512 but no VNNI, those of AVX2.
const IntegerKernels& integer_kernels(Isa isa);

}  // namespace bhar
