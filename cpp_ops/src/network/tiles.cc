#include "tiles.h"

namespace bhar {

bool tiles_pay(std::int64_t inputs, std::int64_t outputs, Isa isa) {
  return isa == Isa::kAmx && tile_conv_f32_amx != nullptr && inputs >= kTileInputs &&
         outputs >= kTileOutputs;
}

TileWeight::TileWeight(const Floats& values, const Shape& shape, const Floats& bias)
    : groups_(shape[0]),
      taps_(shape[1]),
      inputs_(shape[2]),
      outputs_(shape[3]),
      chunks_((inputs_ + kTileInputs - 1) / kTileInputs),
      columns_((outputs_ + kTileOutputs - 1) / kTileOutputs),
      weight_(static_cast<std::size_t>(groups_ * columns_ * taps_ * kTileOutputs * group_size())),
      bias_(static_cast<std::size_t>(groups_ * columns_ * kTileOutputs)) {
  std::vector<std::uint16_t> parts(static_cast<std::size_t>(kTileParts * kTileInputs));
  std::vector<float> column(static_cast<std::size_t>(kTileInputs));
  std::uint16_t* to = weight_.data();
  constexpr std::int64_t kPart = kTileInputs * kTileOutputs;
  for (std::int64_t tile = 0; tile < groups_ * columns_; ++tile) {
    const std::int64_t g = tile / columns_, first = tile % columns_ * kTileOutputs;
    for (std::int64_t i = 0; i < kTileOutputs && first + i < outputs_; ++i) {
      bias_[static_cast<std::size_t>(tile * kTileOutputs + i)] =
          bias[static_cast<std::size_t>(g * outputs_ + first + i)];
    }
    for (std::int64_t at = 0; at < taps_ * chunks_; ++at, to += kTileParts * kPart) {
      const std::int64_t k = at / chunks_, begin = at % chunks_ * kTileInputs;
      for (std::int64_t o = 0; o < kTileOutputs && first + o < outputs_; ++o) {
        for (std::int64_t i = 0; i < kTileInputs; ++i) {
          const std::int64_t from = ((g * taps_ + k) * inputs_ + begin + i) * outputs_ + first + o;
          const bool inside = begin + i < inputs_;
          column[static_cast<std::size_t>(i)] =
              inside ? values[static_cast<std::size_t>(from)] : 0.0f;
        }
        split_rows_amx(
            {column.data(), parts.data(), 1, kTileInputs, kTileInputs, kTileParts * kTileInputs});
        // Two inputs of an output lie side by side.
        for (std::int64_t i = 0; i < kTileParts * kTileInputs; ++i) {
          const std::int64_t part = i / kTileInputs, pair = i % kTileInputs / 2;
          to[part * kPart + (pair * kTileOutputs + o) * 2 + i % 2] =
              parts[static_cast<std::size_t>(i)];
        }
      }
    }
  }
}

std::int64_t TileWeight::memory(std::int64_t rows, std::int64_t groups) const {
  return (rows + kTileRowsAtOnce) * groups * group_size() / 2;
}

void TileWeight::split(const float* x, std::int64_t rows, std::int64_t groups,
                       std::int64_t x_stride, std::uint16_t* out) const {
  SplitRows split{x, out, rows, inputs_, x_stride, groups * group_size()};
  if (inputs_ % kTileInputs == 0) {
    split.channels *= groups;
    groups = 1;
  }
  for (std::int64_t g = 0; g < groups; ++g, split.x += inputs_, split.out += group_size()) {
    split_rows_amx(split);
  }
}

void TileWeight::compute(TileConvRows rows, std::int64_t group) const {
  rows.k = taps_;
  rows.chunks = chunks_;
  rows.outputs = outputs_;
  rows.weight = weight_.data() + group * columns_ * taps_ * kTileOutputs * group_size();
  rows.bias = bias_.data() + group * columns_ * kTileOutputs;
  tile_conv_f32_amx(rows);
}

}  // namespace bhar
