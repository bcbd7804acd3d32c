// refined_aggregate of one sample, for the lanes that are included before: a vector of channels, up
// to kBlockFrames frames and kBlockTargets joints at a time, whose sums stay in registers.
//
// What a block reads is laid out for it first: the adjacencies of the vector, made once for all
// frames, and the values, unless they lie vector by vector already: rows of many channels lie on as
// many pages of memory. Adjacencies that no channel refines are read where they are. What is added
// is asked for when a block begins, and read when it ends. The loops of a block are unrolled by
// request: GCC alone keeps the sums on the stack.
#pragma once

#include "bhar_ops/kernels.h"
#include "blocks.h"

namespace bhar {
namespace {

constexpr std::int64_t kPairs = 80;  // of a partition and a joint: 3 x 25 in one go
constexpr std::int64_t kValues = kPairs * kBlockFrames;  // vectors of a packing
constexpr std::int64_t kEdges = kRefinedAggregateScratch / kLanes - kValues - 1;
constexpr std::int64_t kTargets = kEdges / kPairs;  // whose edges are made in one go

// A vector of channels of a group, and the pairs that are summed in one go: pair = k * V + v.
template <class Part>
struct Slice {
  std::int64_t c, group;
  Part part;  // which of the vector's channels
  std::int64_t begin = 0, pairs = 0;
  bool first = true, last = false;  // whether the sums begin here, and end here
  float* packed = nullptr;          // [pairs, frames, kLanes]
  float* edges = nullptr;           // of each block of targets: [pairs, targets, kLanes]
  // Of a block of frames: where those of partition 0 or, packed, of the first pair begin, and how
  // far apart partitions, pairs and frames lie.
  const float* values = nullptr;
  std::int64_t value_k = 0, value_pair = 0, value_frame = 0;
};

// Pairs of one partition that lie one after the other: from pair `done` of a slice on.
struct Run {
  std::int64_t k, v, pairs;

  Run(std::int64_t joints, std::int64_t begin, std::int64_t of, std::int64_t done)
      : k((begin + done) / joints), v((begin + done) % joints) {
    pairs = joints - v < of - done ? joints - v : of - done;
  }
};

template <class Part>
BHAR_INLINE const float* values_of(const Slice<Part>& s, const Run& run, std::int64_t done) {
  return s.packed == s.values ? s.values + done * s.value_pair
                              : s.values + run.k * s.value_k + run.v * s.value_pair;
}

template <class Part>
BHAR_KERNEL void pack(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                      std::int64_t frames) {
  // Joint by joint: strides that the CPU foresees.
  for (std::int64_t f = 0; f < frames; ++f) {
    const float* frame = p.value + s.c + (t + f) * p.value_t;
    float* to = s.packed + f * kLanes;
    for (std::int64_t done = 0; done < s.pairs;) {
      const Run run(p.v, s.begin, s.pairs, done);
      const float* value = frame + run.k * p.value_k + run.v * p.value_v;
      for (std::int64_t i = 0; i < run.pairs; ++i, value += p.value_v, to += frames * kLanes) {
        store(to, load(value, s.part), Whole{});
      }
      done += run.pairs;
    }
  }
}

// The edges of the slice's pairs to Targets joints from w on. Where Relations says how many there
// are, their weights stay in registers.
template <int Relations, int Targets, class Part>
BHAR_KERNEL void refine(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t w,
                        float* edges) {
  // Copies: what is written might else be these numbers themselves.
  const std::int64_t relations = Relations == 0 ? p.r : Relations, joints = p.v;
  const std::int64_t target = joints * relations, weight_r = p.weight_r;
  for (std::int64_t done = 0; done < s.pairs;) {
    const Run run(p.v, s.begin, s.pairs, done);
    done += run.pairs;
    const Vector shift =
        p.shift == nullptr ? all(0.0f) : load(p.shift + run.k * p.weight_r + s.c, s.part);
    const float* weight = p.weight + run.k * relations * weight_r + s.c;
    const float* a = p.a + (run.k * p.w + w) * joints + run.v;
    const float* relation = p.relation + run.k * p.relation_k + s.group * p.relation_group +
                            (w * joints + run.v) * relations;
    const Part part = s.part;
    Vector parts[Relations == 0 ? 1 : Relations];
#pragma GCC unroll 8
    for (int r = 0; r < Relations; ++r) parts[r] = load(weight + r * weight_r, part);
    for (const float* end = a + run.pairs; a < end; ++a, relation += relations) {
      Vector made[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) made[j] = add(shift, all(a[j * joints]));
#pragma GCC unroll 8
      for (std::int64_t r = 0; r < relations; ++r) {
        const Vector own = Relations == 0 ? load(weight + r * weight_r, part) : parts[r];
#pragma GCC unroll 4
        for (int j = 0; j < Targets; ++j) {
          made[j] = fma(own, all(relation[j * target + r]), made[j]);
        }
      }
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j, edges += kLanes) store(edges, made[j], Whole{});
    }
  }
}

// Of a block, in [T, W, C]: copies, since what is written might else be these numbers themselves.
template <class Float>
struct Place {
  Float* first;
  std::int64_t frame, target;

  BHAR_INLINE Float* at(int f, int j) const { return first + f * frame + j * target; }
};

template <class Part>
BHAR_INLINE Place<float> out_of(const RefinedAggregateSample& p, const Slice<Part>& s,
                                std::int64_t t, std::int64_t w) {
  return {p.out + t * p.out_t + w * p.out_w + s.c, p.out_t, p.out_w};
}

template <class Part>
BHAR_INLINE Place<const float> add_of(const RefinedAggregateSample& p, const Slice<Part>& s,
                                      std::int64_t t, std::int64_t w) {
  return {p.add + t * p.add_t + w * p.add_w + s.c, p.add_t, p.add_w};
}

template <int Frames, int Targets, class Part>
BHAR_INLINE void begin(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                       std::int64_t w, Vector (&sums)[Frames][Targets]) {
  const Vector bias = p.bias == nullptr ? all(0.0f) : load(p.bias + s.c, s.part);
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) sums[f][j] = bias;
  }
  if (s.first) return;
  const Place<float> out = out_of(p, s, t, w);
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) sums[f][j] = load(out.at(f, j), s.part);
  }
}

template <int Frames, int Targets, class Part>
BHAR_INLINE void ask_for_add(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                             std::int64_t w) {
  if (p.add == nullptr || !s.last) return;
  const Place<const float> other = add_of(p, s, t, w);
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) __builtin_prefetch(other.at(f, j));
  }
}

template <int Frames, int Targets, class Part>
BHAR_INLINE void end(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                     std::int64_t w, Vector (&sums)[Frames][Targets]) {
  const Part part = s.part;
  if (p.add != nullptr && s.last) {
    const Place<const float> other = add_of(p, s, t, w);
#pragma GCC unroll 16
    for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) {
        sums[f][j] = add(sums[f][j], load(other.at(f, j), part));
      }
    }
  }
  if (p.slope != 1.0f && s.last) {
    const Vector slope = all(p.slope);
#pragma GCC unroll 16
    for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) sums[f][j] = leaky(sums[f][j], slope);
    }
  }
  const Place<float> out = out_of(p, s, t, w);
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) store(out.at(f, j), sums[f][j], part);
  }
}

// The sums of one pair, its edges in registers.
template <int Frames, int Targets, class Part>
BHAR_INLINE void sum_up(const Slice<Part>& s, const float* value, const Vector (&edge)[Targets],
                        Vector (&sums)[Frames][Targets]) {
#pragma GCC unroll 16
  for (int f = 0; f < Frames; ++f) {
    const Vector x = kept(load(value + f * s.value_frame, Whole{}));
#pragma GCC unroll 4
    for (int j = 0; j < Targets; ++j) sums[f][j] = fma(x, edge[j], sums[f][j]);
  }
}

// Every edge a vector of its own.
template <int Frames, int Targets, class Part>
BHAR_KERNEL void refined_block(const RefinedAggregateSample& p, const Slice<Part>& s,
                               std::int64_t t, std::int64_t w, const float* edges) {
  Vector sums[Frames][Targets];
  begin(p, s, t, w, sums);
  ask_for_add<Frames, Targets>(p, s, t, w);
  for (std::int64_t done = 0; done < s.pairs;) {
    const Run run(p.v, s.begin, s.pairs, done);
    const float* value = values_of(s, run, done);
    done += run.pairs;
    for (std::int64_t i = 0; i < run.pairs; ++i, value += s.value_pair) {
      Vector edge[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j, edges += kLanes) edge[j] = load(edges, Whole{});
      sum_up(s, value, edge, sums);
    }
  }
  end(p, s, t, w, sums);
}

// Every edge the same for all channels.
template <int Frames, int Targets, class Part>
BHAR_KERNEL void static_block(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                              std::int64_t w) {
  Vector sums[Frames][Targets];
  begin(p, s, t, w, sums);
  ask_for_add<Frames, Targets>(p, s, t, w);
  for (std::int64_t done = 0; done < s.pairs;) {
    const Run run(p.v, s.begin, s.pairs, done);
    const float* value = values_of(s, run, done);
    done += run.pairs;
    const float* a = p.a + (run.k * p.w + w) * p.v + run.v;
    for (const float* last = a + run.pairs; a < last; ++a, value += s.value_pair) {
      Vector edge[Targets];
#pragma GCC unroll 4
      for (int j = 0; j < Targets; ++j) edge[j] = all(a[j * p.v]);
      sum_up(s, value, edge, sums);
    }
  }
  end(p, s, t, w, sums);
}

bool is_static(const RefinedAggregateSample& p) { return p.r == 0 && p.shift == nullptr; }

template <int Frames, int Targets, class Part>
BHAR_KERNEL void targets_of(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                            std::int64_t w, std::int64_t targets, const float* edges) {
  if (targets == Targets) {
    if (is_static(p)) {
      static_block<Frames, Targets>(p, s, t, w);
    } else {
      refined_block<Frames, Targets>(p, s, t, w, edges);
    }
  } else if constexpr (Targets > 1) {
    targets_of<Frames, Targets - 1>(p, s, t, w, targets, edges);
  }
}

template <int Frames, class Part>
BHAR_KERNEL void frames_of(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t t,
                           std::int64_t frames, std::int64_t w, std::int64_t targets) {
  if (frames == Frames) {
    const Blocks blocks(targets, kBlockTargets);
    const float* edges = s.edges;
    for (std::int64_t i = 0; i < blocks.count; w += blocks.size(i), ++i) {
      targets_of<Frames, kBlockTargets>(p, s, t, w, blocks.size(i), edges);
      edges += s.pairs * blocks.size(i) * kLanes;
    }
  } else if constexpr (Frames > 1) {
    frames_of<Frames - 1>(p, s, t, frames, w, targets);
  }
}

template <int Targets, class Part>
BHAR_KERNEL void refine_some(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t w,
                             std::int64_t targets, float* edges) {
  if (targets == Targets) {
    switch (p.r) {  // as many as the models have, or any number
      case 2: return refine<2, Targets>(p, s, w, edges);
      case 4: return refine<4, Targets>(p, s, w, edges);
      case 8: return refine<8, Targets>(p, s, w, edges);
      default: return refine<0, Targets>(p, s, w, edges);
    }
  } else if constexpr (Targets > 1) {
    refine_some<Targets - 1>(p, s, w, targets, edges);
  }
}

template <class Part>
BHAR_KERNEL void refine_all(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t w,
                            std::int64_t targets) {
  const Blocks blocks(targets, kBlockTargets);
  float* edges = s.edges;
  for (std::int64_t i = 0; i < blocks.count; w += blocks.size(i), ++i) {
    refine_some<kBlockTargets>(p, s, w, blocks.size(i), edges);
    edges += s.pairs * blocks.size(i) * kLanes;
  }
}

// Whether the values of a partition are the vectors of its joints, one after the other.
bool is_packed(const RefinedAggregateSample& p) { return p.value_v == kLanes; }

template <class Part>
BHAR_KERNEL void lay_out(const RefinedAggregateSample& p, Slice<Part>& s, std::int64_t t,
                         std::int64_t frames) {
  if (is_packed(p)) {
    s.values = p.value + s.c + t * p.value_t;
    s.value_k = p.value_k;
    s.value_pair = kLanes;
    s.value_frame = p.value_t;
  } else {
    pack(p, s, t, frames);
    s.values = s.packed;
    s.value_pair = frames * kLanes;
    s.value_frame = kLanes;
  }
}

template <class Part>
BHAR_KERNEL void channels_of(const RefinedAggregateSample& p, std::int64_t group, std::int64_t c,
                             Part part) {
  const auto address = reinterpret_cast<std::uintptr_t>(p.scratch);
  constexpr std::uintptr_t kAligned = kLanes * sizeof(float);
  float* aligned = p.scratch + (kAligned - address % kAligned) % kAligned / sizeof(float);
  Slice<Part> s{c, group, part};
  s.packed = aligned;
  s.edges = aligned + kValues * kLanes;
  const std::int64_t all_pairs = p.k * p.v, at_once = is_static(p) ? p.w : kTargets;
  // Also without a pair: the sum of none has to be written.
  for (; s.first || s.begin < all_pairs; s.begin += kPairs, s.first = false) {
    s.pairs = all_pairs - s.begin < kPairs ? all_pairs - s.begin : kPairs;
    s.last = s.begin + s.pairs == all_pairs;
    for (std::int64_t w = 0; w < p.w; w += at_once) {
      const std::int64_t targets = p.w - w < at_once ? p.w - w : at_once;
      if (!is_static(p)) refine_all(p, s, w, targets);
      const Blocks blocks(p.t, kBlockFrames);
      for (std::int64_t i = 0, t = 0; i < blocks.count; t += blocks.size(i), ++i) {
        lay_out(p, s, t, blocks.size(i));
        frames_of<kBlockFrames>(p, s, t, blocks.size(i), w, targets);
      }
    }
  }
}

// One frame alone, all channels of a vector. Making an edge to use it once costs more than it
// saves: here values are summed over the joints once for each relation, and the sums weighed
// afterwards.
template <int Relations, int Targets, class Part>
BHAR_KERNEL void frame_block(const RefinedAggregateSample& p, const Slice<Part>& s,
                             std::int64_t w) {
  Vector out[Targets];
  const Vector bias = p.bias == nullptr ? all(0.0f) : load(p.bias + s.c, s.part);
#pragma GCC unroll 8
  for (int j = 0; j < Targets; ++j) {
    out[j] = p.add == nullptr ? bias : add(bias, load(p.add + (w + j) * p.add_w + s.c, s.part));
  }
  for (std::int64_t k = 0; k < p.k; ++k) {
    Vector sums[Targets][Relations + 1], values = all(0.0f);
#pragma GCC unroll 8
    for (int j = 0; j < Targets; ++j) {
#pragma GCC unroll 16
      for (int r = 0; r <= Relations; ++r) sums[j][r] = all(0.0f);
    }
    const float* value = p.value + k * p.value_k + s.c;
    const float* a = p.a + (k * p.w + w) * p.v;
    const float* relation =
        p.relation + k * p.relation_k + s.group * p.relation_group + w * p.v * Relations;
    for (std::int64_t v = 0; v < p.v; ++v, value += p.value_v, ++a, relation += Relations) {
      const Vector x = kept(load(value, s.part));
      values = add(values, x);
#pragma GCC unroll 8
      for (int j = 0; j < Targets; ++j) {
        sums[j][0] = fma(x, all(a[j * p.v]), sums[j][0]);
#pragma GCC unroll 16
        for (int r = 0; r < Relations; ++r) {
          sums[j][r + 1] = fma(x, all(relation[j * p.v * Relations + r]), sums[j][r + 1]);
        }
      }
    }
    const Vector shifted = mul(values, load(p.shift + k * p.weight_r + s.c, s.part));
#pragma GCC unroll 8
    for (int j = 0; j < Targets; ++j) {
      out[j] = add(out[j], add(sums[j][0], shifted));
#pragma GCC unroll 16
      for (int r = 0; r < Relations; ++r) {
        out[j] = fma(load(p.weight + (k * Relations + r) * p.weight_r + s.c, s.part),
                     sums[j][r + 1], out[j]);
      }
    }
  }
  const Vector slope = all(p.slope);
#pragma GCC unroll 8
  for (int j = 0; j < Targets; ++j) {
    store(p.out + (w + j) * p.out_w + s.c, leaky(out[j], slope), s.part);
  }
}

template <int Relations, int Targets, class Part>
BHAR_KERNEL void frame_some(const RefinedAggregateSample& p, const Slice<Part>& s, std::int64_t w,
                            std::int64_t targets) {
  if (targets == Targets) {
    frame_block<Relations, Targets>(p, s, w);
  } else if constexpr (Targets > 1) {
    frame_some<Relations, Targets - 1>(p, s, w, targets);
  }
}

template <int Relations, class Part>
BHAR_KERNEL void frame_of(const RefinedAggregateSample& p, std::int64_t group, std::int64_t c,
                          Part part) {
  constexpr int kMost = kFrameSums / (Relations + 2) > 0 ? kFrameSums / (Relations + 2) : 1;
  const Slice<Part> s{c, group, part};
  const Blocks blocks(p.w, kMost);
  for (std::int64_t i = 0, w = 0; i < blocks.count; w += blocks.size(i), ++i) {
    frame_some<Relations, kMost>(p, s, w, blocks.size(i));
  }
}

template <class Part>
BHAR_KERNEL void channels(const RefinedAggregateSample& p, std::int64_t group, std::int64_t c,
                          Part part) {
  if (p.t == 1 && p.shift != nullptr && p.r == 2) {
    frame_of<2>(p, group, c, part);
  } else if (p.t == 1 && p.shift != nullptr && p.r == 4) {
    frame_of<4>(p, group, c, part);
  } else if (p.t == 1 && p.shift != nullptr && p.r == 8) {
    frame_of<8>(p, group, c, part);
  } else {
    channels_of(p, group, c, part);
  }
}

BHAR_KERNEL void run(const RefinedAggregateSample& p) {
  const std::int64_t size = p.c / p.groups;
  for (std::int64_t group = 0; group < p.groups; ++group) {
    const std::int64_t end = (group + 1) * size;
    std::int64_t c = group * size;
    for (; c + kLanes <= end; c += kLanes) channels(p, group, c, Whole{});
    if (c < end) channels(p, group, c, first(end - c));
  }
}

}  // namespace
}  // namespace bhar
