// Floats to bytes for NEON, with or without dot products: what quantize_lanes.h needs.
#pragma once

#include "bhar_ops/kernels.h"

namespace bhar {
namespace {

// In the low half of the register.
BHAR_INLINE uint8x8_t bytes(Vector x, const QuantizeRow& p) {
  const Vector at = fma(x, all(p.per_step), all(p.zero));
  // Of a number and a NaN, the number.
  const int32x4_t whole = vcvtnq_s32_f32(vmaxnmq_f32(at, all(0.0f)));
  const uint16x4_t words = vqmovun_s32(whole);
  return vqmovn_u16(vcombine_u16(words, words));
}

BHAR_INLINE void store_bytes(std::uint8_t* to, uint8x8_t bytes) {
  const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
  __builtin_memcpy(to, &four, sizeof four);
}

}  // namespace
}  // namespace bhar
