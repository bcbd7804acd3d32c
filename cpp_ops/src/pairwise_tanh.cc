#include "bhar_ops/pairwise_tanh.h"

#include <stdexcept>
#include <string>

#include "bhar_ops/kernels.h"
#include "dispatch.h"

namespace bhar {
namespace {

const KernelRow<PairwiseTanhFn> kKernels[] = {
    {Isa::kAvx512, pairwise_tanh_f32_avx512},
    {Isa::kAvx2, pairwise_tanh_f32_avx2},
    {Isa::kNeon, pairwise_tanh_f32_neon},
    {Isa::kScalar, pairwise_tanh_f32_scalar},
};

[[noreturn]] void refuse(const Shape& to, const Shape& from, const std::string& expected) {
  throw std::invalid_argument("got to " + to_string(to) + " and from " + to_string(from) +
                              ", expected " + expected);
}

}  // namespace

PairwiseTanhFn pairwise_tanh_kernel(Isa isa) { return kernel_for(kKernels, isa, "pairwise_tanh"); }

std::array<std::int64_t, 5> pairwise_tanh_shape(const Shape& to, const Shape& from) {
  if (to.size() != 4) refuse(to, from, "to [N, W, M, R]");
  const std::int64_t n = to[0], maps = to[2], r = to[3];
  if (from.size() != 4 || from[0] != n || from[2] != maps || from[3] != r) {
    refuse(to, from, "from " + to_string({n, -1, maps, r}) + " with any number of joints for -1");
  }
  if (r > kMaxRelations) refuse(to, from, "R, the last, up to " + std::to_string(kMaxRelations));
  return {n, maps, to[1], from[1], r};
}

void pairwise_tanh(const float* to, const Shape& to_shape, const float* from,
                   const Shape& from_shape, float* out, Isa isa) {
  const PairwiseTanhFn kernel = pairwise_tanh_kernel(isa);
  PairwiseTanhSample sample{to, from, out, to_shape[1], from_shape[1], to_shape[2], to_shape[3]};
  const std::int64_t of_each = sample.maps * sample.r;
  if (sample.w * sample.v * of_each == 0) return;
  for (std::int64_t n = 0; n < to_shape[0]; ++n) {
    kernel(sample);
    sample.to += sample.w * of_each;
    sample.from += sample.v * of_each;
    sample.out += sample.w * sample.v * of_each;
  }
}

}  // namespace bhar
