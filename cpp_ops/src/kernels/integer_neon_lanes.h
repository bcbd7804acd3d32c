// Floats to bytes for NEON, with or without dot products.
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

BHAR_INLINE int32x4_t whole(Vector x, const QuantiseRow& p) {
  const Vector at = fma(x, all(p.per_step), all(p.zero));
  return vcvtnq_s32_f32(vmaxnmq_f32(at, all(0.0f)));  // of a number and a NaN, the number
}

// Four bytes, in a register of eight.
BHAR_INLINE uint8x8_t bytes(Vector x, const QuantiseRow& p) {
  const uint16x4_t words = vqmovun_s32(whole(x, p));
  return vqmovn_u16(vcombine_u16(words, words));
}

BHAR_KERNEL void quantise(const QuantiseRow& p) {
  for (std::int64_t i = 0; i < p.count; i += kLanes) {
    const std::int64_t left = p.count - i;
    const Vector x = left >= kLanes ? load(p.x + i, Whole{}) : load(p.x + i, first(left));
    std::uint8_t four[8];
    vst1_u8(four, bytes(x, p));
    __builtin_memcpy(p.out + i, four, static_cast<std::size_t>(left >= kLanes ? kLanes : left));
  }
}

}  // namespace
}  // namespace bhar
