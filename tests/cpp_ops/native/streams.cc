// A causal network of every layer that has a state, frame by frame: in turns with another stream
// it gives the bits of one alone, also after a reset, and once it runs it allocates nothing.

#include <cmath>
#include <utility>

#include "bhar_ops/network.h"
#include "check.h"
#include "constants.h"

namespace {

constexpr std::int64_t kPersons = 2, kJoints = 5, kChannels = 3, kWidth = 32, kClasses = 4;
constexpr std::int64_t kRows = kPersons * kJoints, kFrameSize = kChannels * kRows, kPartitions = 3;
constexpr std::int64_t kFrames = 13, kWindow = 6, kPeriod = 4;

bhar::ConvLayer conv(bhar::Part x, bhar::Part out, std::int64_t inputs,
                     std::vector<std::int64_t> offsets, std::mt19937& g) {
  bhar::ConvLayer layer;
  layer.x = x;
  layer.out = out;
  layer.weight = constants({1, static_cast<std::int64_t>(offsets.size()), inputs, kWidth}, g);
  layer.bias = constants({kWidth}, g);
  layer.offsets = std::move(offsets);
  layer.slope = 0.1f;
  return layer;
}

// Features 4 and 5, of every second frame, look at each other: joint by joint and along axes.
void add_attention(bhar::Network& network, std::mt19937& g) {
  constexpr std::int64_t kHeads = 3, kHead = 5, kRandom = 19, kShown = kHeads * kHead;
  constexpr std::int64_t kTokens = 3;  // of time, fewer than frames come
  network.add(bhar::AttentionLayer{
      {4, 1}, {5, 2}, {5, 3}, {7, 4}, constants({kHead, kRandom}, g), kHeads, kWindow});
  bhar::ClassifyLayer seen{{7, 4}, constants({kShown, kClasses}, g), constants({kClasses}, g)};
  seen.window = kWindow;
  network.add(std::move(seen));
  network.add(pooled_attention({4, 1}, {5, 2}, kShown, kHeads, kRandom, kClasses, kTokens, g));
}

void fill(bhar::Network& network, bool integers, std::mt19937 g) {
  const bhar::Features input{1, kPersons, kJoints, kChannels}, wide{1, kPersons, kJoints, kWidth};
  for (const bhar::Features& f : {input, input, wide, wide, wide, wide, wide, wide}) network.add(f);
  network.add(all_joints(kJoints, kPersons, kChannels, g));
  network.add(bhar::DifferenceLayer{{0}, {1}, kChannels});
  bhar::ConvLayer first = conv({1}, {2}, kChannels, {-2, -1, 0}, g);
  first.zero_edges = true;
  network.add(std::move(first));

  bhar::AggregateLayer aggregate;
  aggregate.x = {2};
  aggregate.out = {3};
  aggregate.weight = constants({1, kWidth, kPartitions * kWidth}, g);
  aggregate.weight_bias = constants({kPartitions * kWidth}, g);
  aggregate.adjacency = constants({kPartitions, kJoints, kJoints}, g);
  aggregate.bias = constants({kWidth}, g);
  aggregate.refinement = {constants({1, kWidth, kPartitions * 2}, g),
                          constants({1, kPartitions * 2}, g),
                          constants({1, kWidth, kPartitions * 2}, g),
                          constants({1, kPartitions * 2}, g),
                          constants({kPartitions, 2, kWidth}, g),
                          constants({kPartitions, kWidth}, g),
                          kWindow,
                          kPeriod};
  bhar::ConvLayer strided = conv({3}, {4}, kWidth, {-4, -1, 0}, g);
  strided.stride = 2;
  if (integers) {
    aggregate.integers = take_integers(aggregate.weight);
    strided.integers = take_integers(strided.weight);
  }
  network.add(std::move(aggregate));
  network.add(std::move(strided));

  bhar::PoolLayer pool;
  pool.x = {4};
  pool.out = {5};
  pool.scale = constants({kWidth}, g);
  pool.shift = constants({kWidth}, g);
  pool.first = -2;
  network.add(std::move(pool));
  network.add(bhar::ExciteLayer{{5},
                                {6},
                                constants({kWidth, 7}, g),
                                constants({7}, g),
                                constants({7, kWidth}, g),
                                constants({kWidth}, g),
                                kWindow});
  bhar::ClassifyLayer head{{6}, constants({kWidth, kClasses}, g), constants({kClasses}, g)};
  head.window = kWindow;
  network.add(std::move(head));
  add_attention(network, g);
  network.finish();
}

using Logits = std::vector<float>;

bool check(bhar::Isa isa, bool integers, std::mt19937& generator) {
  bhar::Network network({{kChannels, 1, kJoints, kPersons}}, kClasses, bhar::Fusion::kMean, true,
                        isa);
  fill(network, integers, generator);
  const std::vector<float> one = random_values(kFrames * kFrameSize, generator);
  const std::vector<float> other = random_values(kFrames * kFrameSize, generator);
  bhar::Workspace workspace;
  const auto step = [&](const std::vector<float>& frames, bhar::State& state, Logits& logits) {
    const float* frame[] = {frames.data() + state.frames() * kFrameSize};
    network.step(frame, 1, logits.data(), workspace, state);
  };
  bhar::State alone, mine, theirs;
  std::vector<Logits> expected(kFrames, Logits(kClasses));
  for (Logits& logits : expected) step(one, alone, logits);
  Logits got(kClasses), ignored(kClasses);
  step(other, theirs, ignored);  // the second stream's first frame allocates its state
  step(one, mine, got);
  mine.reset();
  theirs.reset();
  const std::int64_t before = allocations();
  bool good = true;
  for (const Logits& wanted : expected) {
    step(other, theirs, ignored);
    step(one, mine, got);
    good &= got == wanted && std::isfinite(got[0]);
  }
  const auto made = static_cast<float>(allocations() - before);
  return near(made, 0.0, 0.0, isa, "allocations of streams", integers) &&
         near(good ? 1.0f : 0.0f, 1.0, 0.0, isa, "streams", integers);
}

}  // namespace

bool check_streams(bhar::Isa isa, std::mt19937& generator) {
  return check(isa, false, generator) && check(isa, true, generator);
}
