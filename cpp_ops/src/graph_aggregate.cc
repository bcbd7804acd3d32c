#include "bhar_ops/graph_aggregate.h"

#include <stdexcept>
#include <string>

#include "bhar_ops/kernels.h"
#include "dispatch.h"

namespace bhar {
namespace {

const KernelRow<GraphAggregateFn> kKernels[] = {
    {Isa::kAmx, graph_aggregate_f32_amx},       {Isa::kAvx512, graph_aggregate_f32_avx512},
    {Isa::kAvx2, graph_aggregate_f32_avx2},     {Isa::kNeon, graph_aggregate_f32_neon},
    {Isa::kScalar, graph_aggregate_f32_scalar},
};

[[noreturn]] void refuse(const Shape& x, const Shape& a, const std::string& expected) {
  throw std::invalid_argument("got x " + to_string(x) + " and a " + to_string(a) + ", expected " +
                              expected);
}

}  // namespace

std::array<std::int64_t, 4> graph_aggregate_shape(const Shape& x, const Shape& a) {
  if (x.size() != 5) refuse(x, a, "x [N, K, C, T, V]");
  const auto n = x[0], k = x[1], c = x[2], t = x[3], v = x[4];
  if (a.size() != 3 && a.size() != 5) refuse(x, a, "a [K, V, W] or [N, K, C, V, W]");
  const auto w = a.back();
  const Shape wanted = a.size() == 3 ? Shape{k, v, w} : Shape{n, k, c, v, w};
  if (a != wanted) refuse(x, a, "a " + to_string(wanted) + " to fit x");
  return {n, c, t, w};
}

void graph_aggregate(const float* x, const Shape& x_shape, const float* a, const Shape& a_shape,
                     float* out, Isa isa) {
  const auto [n, c, t, w] = graph_aggregate_shape(x_shape, a_shape);
  const auto k = x_shape[1], v = x_shape[4];
  const bool channel_wise = a_shape.size() == 5;

  GraphAggregateProblem problem{};
  problem.x = x;
  problem.a = a;
  problem.out = out;
  problem.outer = n;
  problem.inner = channel_wise ? c : 1;
  problem.k = k;
  problem.rows = channel_wise ? t : c * t;
  problem.v = v;
  problem.w = w;
  problem.x_outer_stride = k * c * t * v;
  problem.x_inner_stride = t * v;
  problem.x_k_stride = c * t * v;
  problem.a_outer_stride = channel_wise ? k * c * v * w : 0;
  problem.a_inner_stride = channel_wise ? v * w : 0;
  problem.a_k_stride = channel_wise ? c * v * w : v * w;

  kernel_for(kKernels, isa, "graph_aggregate")(problem);
}

}  // namespace bhar
