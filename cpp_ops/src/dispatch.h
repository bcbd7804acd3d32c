// From an instruction set to the kernel that is written for it.
#pragma once

#include <cstddef>
#include <string>

#include "bhar_ops/isa.h"
#include "bhar_ops/kernels.h"

namespace bhar {

// A reference: kernels are null pointers until static initialisation has filled them in.
template <typename Kernel>
struct KernelRow {
  Isa isa;
  const Kernel& kernel;
};

// Throws UnavailableIsaError when this build has no such kernel; never takes another one.
template <typename Kernel, std::size_t Count>
Kernel kernel_for(const KernelRow<Kernel> (&rows)[Count], Isa isa, const char* operation) {
  for (const KernelRow<Kernel>& row : rows) {
    if (row.isa == isa && row.kernel != nullptr) return row.kernel;
  }
  throw UnavailableIsaError(std::string("got instruction set '") + isa_name(isa) +
                            "', which this build has no " + operation + " for: force another one");
}

// For what is made of several kernels; they throw as kernel_for does.
PairwiseTanhFn pairwise_tanh_kernel(Isa isa);
RefinedAggregateFn refined_aggregate_kernel(Isa isa);
TemporalConvFn temporal_conv_kernel(Isa isa);
TemporalPoolFn temporal_pool_kernel(Isa isa);

}  // namespace bhar
