#include "bhar_ops/kernels.h"
#include "dispatch.h"

namespace bhar {
namespace {

const KernelRow<TemporalPoolFn> kKernels[] = {
    {Isa::kAvx512, temporal_pool_f32_avx512},
    {Isa::kAvx2, temporal_pool_f32_avx2},
    {Isa::kNeon, temporal_pool_f32_neon},
    {Isa::kScalar, temporal_pool_f32_scalar},
};

}  // namespace

TemporalPoolFn temporal_pool_kernel(Isa isa) { return kernel_for(kKernels, isa, "temporal_pool"); }

}  // namespace bhar
