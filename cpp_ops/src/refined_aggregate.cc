#include "bhar_ops/refined_aggregate.h"

#include <memory>
#include <stdexcept>
#include <string>

#include "bhar_ops/kernels.h"
#include "dispatch.h"

namespace bhar {
namespace {

const KernelRow<RefinedAggregateFn> kKernels[] = {
    {Isa::kAvx512, refined_aggregate_f32_avx512},
    {Isa::kAvx2, refined_aggregate_f32_avx2},
    {Isa::kNeon, refined_aggregate_f32_neon},
    {Isa::kScalar, refined_aggregate_f32_scalar},
};

[[noreturn]] void refuse(const char* name, const Shape& got, const std::string& expected) {
  throw std::invalid_argument(std::string("got ") + name + " " + to_string(got) + ", expected " +
                              expected);
}

void expect(const char* name, const Shape& got, const Shape& expected) {
  if (got != expected) refuse(name, got, to_string(expected) + " to fit value and relation");
}

// Of this thread, allocated at its first call.
float* scratch() {
  thread_local const std::unique_ptr<float[]> floats(new float[kRefinedAggregateScratch]);
  return floats.get();
}

}  // namespace

RefinedAggregateFn refined_aggregate_kernel(Isa isa) {
  return kernel_for(kKernels, isa, "refined_aggregate");
}

std::array<std::int64_t, 4> refined_aggregate_shape(const RefinedAggregate& problem) {
  const Shape &value = problem.value_shape, &relation = problem.relation_shape;
  if (value.size() != 5) refuse("value", value, "[N, K, T, V, C]");
  const std::int64_t n = value[0], k = value[1], v = value[3], c = value[4];
  if (relation.size() != 6 || relation[0] != n || relation[1] != k || relation[4] != v) {
    refuse("relation", relation, "[N, K, G, W, V, R] with N, K and V of value " + to_string(value));
  }
  const std::int64_t groups = relation[2], w = relation[3], r = relation[5];
  if (groups < 1 || c % groups != 0) {
    refuse("relation", relation,
           "G, its third, to divide the channels of value " + to_string(value));
  }
  expect("weight", problem.weight_shape, {k, r, c});
  expect("shift", problem.shift_shape, {k, c});
  expect("a", problem.a_shape, {k, w, v});
  return {n, value[2], w, c};
}

void refined_aggregate(const RefinedAggregate& problem, float* out, Isa isa) {
  const RefinedAggregateFn kernel = refined_aggregate_kernel(isa);
  const Shape &value = problem.value_shape, &relation = problem.relation_shape;
  RefinedAggregateSample sample{};
  sample.value = problem.value;
  sample.relation = problem.relation;
  sample.weight = problem.weight;
  sample.shift = problem.shift;
  sample.a = problem.a;
  sample.out = out;
  sample.scratch = scratch();
  sample.slope = 1.0f;
  sample.k = value[1];
  sample.t = value[2];
  sample.v = value[3];
  sample.c = value[4];
  sample.groups = relation[2];
  sample.w = relation[3];
  sample.r = relation[5];
  sample.weight_r = sample.c;
  sample.value_v = sample.c;
  sample.value_t = sample.v * sample.value_v;
  sample.value_k = sample.t * sample.value_t;
  sample.relation_group = sample.w * sample.v * sample.r;
  sample.relation_k = sample.groups * sample.relation_group;
  sample.out_w = sample.c;
  sample.out_t = sample.w * sample.out_w;
  for (std::int64_t n = 0; n < value[0]; ++n) {
    kernel(sample);
    sample.value += sample.k * sample.t * sample.v * sample.c;
    sample.relation += sample.k * sample.groups * sample.r * sample.v * sample.w;
    sample.out += sample.t * sample.w * sample.c;
  }
}

}  // namespace bhar
