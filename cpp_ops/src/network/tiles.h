// Weights in parts, packed for tiles.
#pragma once

#include <cstdint>
#include <vector>

#include "bhar_ops/kernels.h"
#include "bhar_ops/network.h"

namespace bhar {

// Whether convolutions of so many inputs and outputs, in each group, are faster in tiles.
bool tiles_pay(std::int64_t inputs, std::int64_t outputs, Isa isa);

// The weight of a convolution in groups, [G, K, I, O] each, and rows as it meets them.
class TileWeight {
 public:
  // bias: [G * O].
  TileWeight(const Floats& values, const Shape& shape, const Floats& bias);

  // Of one group in a row in parts, in 16 bits each.
  std::int64_t group_size() const { return chunks_ * kTileParts * kTileInputs; }
  // Floats that `rows` rows of `groups` groups in parts take.
  std::int64_t memory(std::int64_t rows, std::int64_t groups) const;

  // `rows` rows of `groups` groups of inputs, x_stride floats apart -> parts, dense.
  void split(const float* x, std::int64_t rows, std::int64_t groups, std::int64_t x_stride,
             std::uint16_t* out) const;

  // One group. rows: where they, add and out lie, how far apart, and the slope.
  void compute(TileConvRows rows, std::int64_t group) const;

 private:
  std::int64_t groups_, taps_, inputs_, outputs_, chunks_, columns_;
  // [G, columns, K, chunks, kTileParts, kTileInputs / 2, kTileOutputs, 2]
  std::vector<std::uint16_t, CacheLineAllocator<std::uint16_t>> weight_;
  Floats bias_;  // [G, columns * kTileOutputs]
};

}  // namespace bhar
