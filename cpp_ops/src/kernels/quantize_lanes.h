// Floats to bytes, for the lanes that are included before. The file that includes this defines
//   bytes(x, row), store_bytes(to, bytes)      kLanes floats as bytes, and where they go
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

BHAR_INTEGER_KERNEL void quantize(const QuantizeRow& p) {
  std::int64_t i = 0;
  for (; i + kLanes <= p.count; i += kLanes) {
    store_bytes(p.out + i, bytes(load(p.x + i, Whole{}), p));
  }
  if (i == p.count) return;
  std::uint8_t rest[kLanes];
  store_bytes(rest, bytes(load(p.x + i, first(p.count - i)), p));
  for (std::int64_t at = 0; i < p.count; ++i, ++at) p.out[i] = rest[at];
}

}  // namespace
}  // namespace bhar
