// Runs a network that is built.

#include "bhar_ops/network.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "../dispatch.h"
#include "bhar_ops/packed_floats.h"
#include "layer.h"
#include "memory.h"

namespace bhar {

Network::~Network() = default;

const char* Network::integers() const { return integer_ ? integer_kernels(isa_).name : nullptr; }

std::int64_t Network::receptive_field() const {
  std::int64_t most = 0;
  for (const Memory& memory : memories_) most = std::max(most, memory.sees);
  return most;
}

Run Network::prepare(const float* const* inputs, std::int64_t of, Workspace& workspace,
                     float* embedding) const {
  if (embedding != nullptr && unpooled_) throw std::logic_error("this network pools no features");
  const auto size = static_cast<std::size_t>(workspace_size_);
  if (workspace.floats_.size() != size) {
    workspace.floats_.assign(size, 0.0f);
    workspace.offsets_.clear();
    for (const Memory& memory : memories_) workspace.offsets_.push_back(memory.offset);
  }
  float* floats = workspace.floats_.data();
  float* heads = floats + workspace_size_ - heads_ * classes_;
  float* unpacked = heads - align(unpacked_size_);
  float* scratch = unpacked - align(scratch_size_);
  return {inputs, of, floats, workspace.offsets_.data(), scratch, unpacked, heads, embedding};
}

void Network::run(const float* const* inputs, float* logits, Workspace& workspace,
                  float* embedding) const {
  if (!finished_ || causal_) throw std::logic_error("run() is of a finished network of clips");
  const Run run = prepare(inputs, sources_[0].frames, workspace, embedding);
  run_all(run, nullptr);
  fuse(run.logits, logits);
}

void Network::step(const float* const* inputs, std::int64_t of, float* logits, Workspace& workspace,
                   State& state, float* embedding) const {
  if (!finished_ || !causal_) throw std::logic_error("step() is of a finished causal network");
  step_all(prepare(inputs, of, workspace, embedding), state, nullptr);
  fuse(state.floats_.data() + state_size_ - heads_ * classes_, logits);
}

void Network::observe_run(const float* const* inputs, Workspace& workspace, Range* ranges) const {
  if (!finished_ || causal_) throw std::logic_error("observe_run() is of a network of clips");
  run_all(prepare(inputs, sources_[0].frames, workspace), ranges);
}

void Network::observe_step(const float* const* inputs, std::int64_t of, Workspace& workspace,
                           State& state, Range* ranges) const {
  if (!finished_ || !causal_) throw std::logic_error("observe_step() is of a causal network");
  step_all(prepare(inputs, of, workspace), state, ranges);
}

void Network::run_all(const Run& run, Range* ranges) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (ranges != nullptr) layers_[i]->observe(run, ranges[i]);
    layers_[i]->run(run);
  }
}

void Network::step_all(Run run, State& state, Range* ranges) const {
  state.floats_.resize(static_cast<std::size_t>(state_size_));
  float* remembered = state.floats_.data();
  // The logits of a head that does not run at this frame are those of its last one.
  run.logits = remembered + state_size_ - heads_ * classes_;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (state.frames_ % rates_[i] != 0) continue;
    if (ranges != nullptr) layers_[i]->observe(run, ranges[i]);
    step_layer(i, run, remembered, state.frames_ / rates_[i]);
  }
  ++state.frames_;
}

void Network::step_layer(std::size_t layer, const Run& run, float* state,
                         std::int64_t index) const {
  const Layer& runs = *layers_[layer];
  float* own = state + states_[layer].offset;
  if (!states_[layer].packed) {
    runs.step(run, own, index);
    return;
  }
  const std::int64_t size = runs.state_size();
  if (index == 0) {
    std::fill_n(run.unpacked, size, 0.0f);  // what a layer does not set yet shares scales
  } else {
    unpack_floats(own, size, run.unpacked);
  }
  runs.step(run, run.unpacked, index);
  pack_floats(run.unpacked, size, own);
}

std::vector<Network::LayerTime> Network::profile(const float* const* inputs,
                                                 std::int64_t rounds) const {
  if (!finished_) throw std::logic_error("profile() is of a finished network");
  using Clock = std::chrono::steady_clock;
  Workspace workspace;
  Floats state(static_cast<std::size_t>(state_size_));
  Run run = prepare(inputs, sources_[0].frames, workspace);
  if (causal_) run.logits = state.data() + state_size_ - heads_ * classes_;
  std::vector<LayerTime> times;
  for (const auto& layer : layers_) times.push_back({layer->kind(), 0.0});
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (causal_ && round % rates_[i] != 0) continue;
      const Clock::time_point start = Clock::now();
      if (causal_) {
        step_layer(i, run, state.data(), round / rates_[i]);
      } else {
        layers_[i]->run(run);
      }
      times[i].seconds += std::chrono::duration<double>(Clock::now() - start).count();
    }
  }
  return times;
}

// Mean of the logits of all heads, or log(1 - prod(1 - p)) of their probabilities.
void Network::fuse(const float* heads, float* logits) const {
  std::fill_n(logits, classes_, fusion_ == Fusion::kMean ? 0.0f : 1.0f);
  for (std::int64_t head = 0; head < heads_; ++head, heads += classes_) {
    if (fusion_ == Fusion::kMean) {
      for (std::int64_t c = 0; c < classes_; ++c) logits[c] += heads[c];
      continue;
    }
    const float greatest = *std::max_element(heads, heads + classes_);
    float sum = 0.0f;
    for (std::int64_t c = 0; c < classes_; ++c) sum += std::exp(heads[c] - greatest);
    for (std::int64_t c = 0; c < classes_; ++c)
      logits[c] *= 1.0f - std::exp(heads[c] - greatest) / sum;
  }
  for (std::int64_t c = 0; c < classes_; ++c) {
    logits[c] = fusion_ == Fusion::kMean ? logits[c] / static_cast<float>(heads_)
                                         : std::log(std::max(1.0f - logits[c], 1e-9f));
  }
}

}  // namespace bhar
