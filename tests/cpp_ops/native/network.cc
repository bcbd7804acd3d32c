// Networks of every layer: that each reads and writes within its arrays, which the sanitizers see,
// and that every instruction set computes what the scalar reference does.

#include "bhar_ops/network.h"

#include <cmath>
#include <utility>

#include "check.h"
#include "constants.h"

namespace {

constexpr std::int64_t kFrames = 11, kPersons = 2, kJoints = 5, kChannels = 3, kWidth = 32;
constexpr std::int64_t kRows = kPersons * kJoints, kClasses = 4, kGroups = 2, kPartitions = 3;

bhar::Refinement refinement(std::mt19937& g) {
  constexpr std::int64_t kRelations = 3;
  return {constants({kGroups, kWidth / kGroups, kPartitions * kRelations}, g),
          constants({kGroups, kPartitions * kRelations}, g),
          constants({kGroups, kWidth / kGroups, kPartitions * kRelations}, g),
          constants({kGroups, kPartitions * kRelations}, g),
          constants({kPartitions, kRelations, kWidth}, g),
          constants({kPartitions, kWidth}, g)};
}

// Features 6, and the shorter features 5, look at each other: person by person, all at all along
// axes, and from one person with the joints of two.
void add_attention(bhar::Network& network, std::mt19937& g) {
  constexpr std::int64_t kHeads = 3, kHead = 5, kRandom = 19, kShown = kHeads * kHead;
  network.add(bhar::NormalizeLayer{{6}, {7}, kWidth});
  network.add(
      bhar::AttentionLayer{{5, 1}, {7, 2}, {6, 3}, {8, 4}, constants({kHead, kRandom}, g), kHeads});
  bhar::InputLayer enter;
  enter.out = {9};
  for (std::int64_t row = 0; row < kRows; ++row) enter.rows.push_back({0, row % kJoints, 0});
  enter.scale = constants({kRows, kChannels}, g);
  enter.shift = constants({kRows, kChannels}, g);
  network.add(std::move(enter));
  network.add(bhar::AttentionLayer{{9}, {0}, {2}, {11, 7}, constants({kChannels, kRandom}, g), 1});
  network.add(
      bhar::ClassifyLayer{{11, 7}, constants({kChannels, kClasses}, g), constants({kClasses}, g)});
  network.add(bhar::GeluLayer{{8, 4}, {10, 1}, kShown});
  network.add(
      bhar::ClassifyLayer{{10, 1}, constants({kShown, kClasses}, g), constants({kClasses}, g)});
  network.add(pooled_attention({6, 1}, {10, 1}, kShown, kHeads, kRandom, kClasses, 0, g));
}

// Logits of a network that has each kind of layer, the same for the same generator.
std::vector<float> logits_of(bhar::Isa isa, bhar::Fusion fusion, bool integers, std::mt19937 g) {
  bhar::Network network({{kChannels, kFrames, kJoints, kPersons}}, kClasses, fusion, false, isa);
  const bhar::Features input{kFrames, kPersons, kJoints, kChannels};
  const bhar::Features wide{kFrames, kPersons, kJoints, kWidth};
  const bhar::Features half{(kFrames + 1) / 2, kPersons, kJoints, kWidth};
  const bhar::Features one{kFrames, 1, 2 * kJoints, kWidth};
  for (const bhar::Features& f :
       {input, wide, input, wide, half, half, wide, wide, half, one, half, one}) {
    network.add(f);
  }
  network.add(all_joints(kJoints, kPersons, kChannels, g));
  network.add(bhar::DifferenceLayer{{0}, {2}, kChannels});

  bhar::ConvLayer conv{
      {2}, {1},  {},  constants({1, 3, kChannels, kWidth}, g), constants({kWidth}, g), {-1, 0, 1},
      1,   0.0f, true};
  network.add(std::move(conv));
  const std::int64_t in_group = kPartitions * kWidth / kGroups;
  bhar::AggregateLayer aggregate{{1},
                                 {3},
                                 bhar::Part{1},
                                 constants({kGroups, kWidth / kGroups, in_group}, g),
                                 constants({kPartitions * kWidth}, g),
                                 constants({kPartitions, kJoints, kJoints}, g),
                                 constants({kWidth}, g),
                                 0.1f,
                                 refinement(g)};
  if (integers) aggregate.integers = take_integers(aggregate.weight);
  network.add(std::move(aggregate));
  // Both halves of the channels by layers of their own, strided, with edges repeated.
  bhar::ConvLayer strided{{3, 8},
                          {4},
                          {},
                          constants({1, 4, 8, kWidth / 2}, g),
                          constants({kWidth / 2}, g),
                          {-4, -1, 0, 9},
                          2,
                          0.1f,
                          false,
                          {0.25f, 0.0f, 1.0f, 0.5f}};
  if (integers) {
    strided.integers = take_integers(strided.weight);
    strided.fractions.clear();
  }
  network.add(std::move(strided));
  bhar::PoolLayer pool{{3, kWidth / 2},
                       {4, kWidth / 2},
                       {},
                       constants({kWidth / 2}, g),
                       constants({kWidth / 2}, g),
                       -1,
                       1,
                       2};
  network.add(std::move(pool));
  network.add(bhar::ExciteLayer{{4},
                                {5},
                                constants({kWidth, 7}, g),
                                constants({7}, g),
                                constants({7, kWidth}, g),
                                constants({kWidth}, g)});
  network.add(
      bhar::ClassifyLayer{{5}, constants({kWidth, kClasses}, g), constants({kClasses}, g), true});
  bhar::AggregateLayer plain{{0, 1},
                             {6},
                             {},
                             constants({1, 2, kPartitions * kWidth}, g),
                             constants({kPartitions * kWidth}, g),
                             constants({kPartitions, kJoints, kJoints}, g),
                             constants({kWidth}, g)};
  network.add(std::move(plain));
  network.add(bhar::ClassifyLayer{{6}, constants({kWidth, kClasses}, g), constants({kClasses}, g)});
  add_attention(network, g);
  network.finish();

  const std::vector<float> x = random_values(kChannels * kFrames * kRows, g);
  const float* inputs[] = {x.data()};
  std::vector<float> logits(kClasses), again(kClasses);
  bhar::Workspace workspace;
  network.run(inputs, logits.data(), workspace);
  network.run(inputs, again.data(), workspace);
  if (logits != again) logits[0] = std::nanf("");  // a run left something behind
  return logits;
}

}  // namespace

bool check_network(bhar::Isa isa, std::mt19937& generator) {
  bool good = true;
  for (const auto& [fusion, integers] : {std::pair{bhar::Fusion::kMean, false},
                                         {bhar::Fusion::kNoisyOr, false},
                                         {bhar::Fusion::kMean, true}}) {
    const std::vector<float> expected = logits_of(bhar::Isa::kScalar, fusion, integers, generator);
    const std::vector<float> got = logits_of(isa, fusion, integers, generator);
    for (std::int64_t c = 0; c < kClasses; ++c) {
      const auto at = static_cast<std::size_t>(c);
      // A float in between that rounds another way may be another byte.
      const double bound = (integers ? 1e-2 : 1e-4) * (1.0 + std::fabs(expected[at]));
      good &= std::isfinite(expected[at]) && near(got[at], expected[at], bound, isa, "network", c);
    }
  }
  return good;
}
