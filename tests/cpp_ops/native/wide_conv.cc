// Layers of networks that are wide enough for tiles: groups, strides, edges, rests of channels and
// of rows, against the scalar reference.

#include <algorithm>
#include <cmath>
#include <utility>

#include "bhar_ops/network.h"
#include "check.h"
#include "constants.h"

namespace {

constexpr std::int64_t kPersons = 2, kJoints = 7, kRows = kPersons * kJoints, kClasses = 9;
constexpr std::int64_t kPartitions = 3, kWidth = 48;

struct Sizes {
  std::int64_t frames, groups, inputs, outputs, stride;  // inputs and outputs: of a group
  std::vector<std::int64_t> offsets;
  bool zero_edges, adds;
};

const Sizes kCases[] = {
    {13, 1, 32, 16, 1, {0}, false, false},       {13, 1, 64, 48, 1, {0}, false, true},
    {9, 2, 40, 24, 1, {-1, 0, 1}, true, true},   {40, 1, 33, 17, 1, {-4, 0, 4}, false, false},
    {11, 1, 64, 32, 2, {-1, 0, 1}, true, false}, {10, 3, 32, 16, 3, {-5, -1, 0, 2}, false, true},
    {12, 2, 96, 16, 2, {0}, false, false},       {1, 1, 64, 64, 1, {-2, -1, 0}, true, true},
    {3, 1, 128, 96, 5, {-9, 9}, false, false},
};

// The wide convolution, then a graph convolution and a pooling, for which it matters where each row
// and frame lies.
std::vector<float> logits_of(const Sizes& s, bhar::Isa isa, std::mt19937 g) {
  const std::int64_t inputs = s.groups * s.inputs, outputs = s.groups * s.outputs;
  const std::int64_t frames = (s.frames + s.stride - 1) / s.stride;
  bhar::Network network({{inputs, s.frames, kJoints, kPersons}}, kClasses, bhar::Fusion::kMean,
                        false, isa);
  for (const bhar::Features& f : {bhar::Features{s.frames, kPersons, kJoints, inputs},
                                  {frames, kPersons, kJoints, outputs},
                                  {frames, kPersons, kJoints, kWidth},
                                  {frames, kPersons, kJoints, kWidth}}) {
    network.add(f);
  }
  network.add(all_joints(kJoints, kPersons, inputs, g));
  const auto taps = static_cast<std::int64_t>(s.offsets.size());
  bhar::ConvLayer conv{{0},
                       {1},
                       {},
                       constants({s.groups, taps, s.inputs, s.outputs}, g),
                       constants({outputs}, g),
                       s.offsets,
                       s.stride,
                       0.1f,
                       s.zero_edges};
  if (s.adds && s.stride == 1 && inputs >= outputs) conv.add = bhar::Part{0};
  network.add(std::move(conv));
  bhar::AggregateLayer aggregate{{1},
                                 {2},
                                 {},
                                 constants({1, outputs, kPartitions * kWidth}, g),
                                 constants({kPartitions * kWidth}, g),
                                 constants({kPartitions, kJoints, kJoints}, g),
                                 constants({kWidth}, g)};
  network.add(std::move(aggregate));
  network.add(
      bhar::PoolLayer{{2}, {3}, {}, constants({kWidth}, g), constants({kWidth}, g), -1, 1, 1});
  network.add(bhar::ClassifyLayer{{3}, constants({kWidth, kClasses}, g), constants({kClasses}, g)});
  network.finish();
  const std::vector<float> x = random_values(inputs * s.frames * kRows, g);
  const float* arrays[] = {x.data()};
  std::vector<float> logits(kClasses);
  bhar::Workspace workspace;
  network.run(arrays, logits.data(), workspace);
  return logits;
}

}  // namespace

bool check_wide_conv(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const Sizes& sizes : kCases) {
    const std::vector<float> expected = logits_of(sizes, bhar::Isa::kScalar, generator);
    const std::vector<float> got = logits_of(sizes, isa, generator);
    float largest = 0;
    for (const float logit : expected) largest = std::max(largest, std::fabs(logit));
    for (std::size_t c = 0; c < expected.size(); ++c) {
      good &= largest > 0 && near(got[c], expected[c], 1e-5 * largest, isa, "wide_conv",
                                  static_cast<std::int64_t>(c));
    }
    generator.discard(1);
  }
  return good;
}
