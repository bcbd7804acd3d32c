// What one thread of this machine can do at most: work that waits for nothing but its own kind of
// unit. machine.py compiles this for one instruction set, whose kernels of bytes (and with them its
// vectors) BHAR_INTEGERS names, and times it. Each probe returns how much it has done.

#include <cstdint>

#include BHAR_INTEGERS
#ifdef BHAR_PROBE_TILES
#include "tiles_amx.h"
#endif

#if defined(__aarch64__)
#define BHAR_IN_VECTOR "+w"
#else
#define BHAR_IN_VECTOR "+v"
#endif

namespace bhar {
namespace {

// More than latency times units, and no more than the fewest registers less two.
constexpr int kChains = 12;

// All are used, so none is left out.
template <class Chain>
BHAR_INLINE void use(const Chain (&chains)[kChains]) {
  asm volatile("" ::"r"(chains) : "memory");
}

// Each another value: of two that are the same the compiler keeps one.
BHAR_INLINE void begin(Vector (&chains)[kChains]) {
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) chains[i] = kept(all(static_cast<float>(i + 1)));
}

BHAR_KERNEL double multiply_add(std::int64_t rounds) {
  Vector chains[kChains];
  begin(chains);
  const Vector left = kept(all(1e-6f)), right = kept(all(1e-6f));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chains[i] = fma(left, right, chains[i]);
  }
  use(chains);
  return static_cast<double>(rounds) * kChains * kLanes;
}

BHAR_INTEGER_KERNEL double multiply_add_bytes(std::int64_t rounds) {
  std::uint8_t bytes[kInputsAtOnce * kChains];
  std::int8_t factors[kInputsAtOnce * kLanes];
  std::int32_t totals[kLanes] = {};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(&byte - bytes);
  for (std::int8_t& factor : factors) factor = 1;
  asm volatile("" ::"r"(bytes), "r"(factors), "r"(totals) : "memory");  // the compiler knows none
  Inputs left = inputs(bytes);
  const Weights right = weights(factors);
  Sums chains[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) {
    chains[i] = dot(initial(totals), inputs(bytes + kInputsAtOnce * i), right);
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      asm("" : BHAR_IN_VECTOR(left));  // else products are computed once, before the loop
      chains[i] = dot(chains[i], left, right);
    }
  }
  use(chains);
  return static_cast<double>(rounds) * kChains * kLanes * kInputsAtOnce;
}

BHAR_KERNEL double divide(std::int64_t rounds) {
  Vector chains[kChains];
  begin(chains);
  const Vector divisor = kept(all(1.000001f));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chains[i] = div(chains[i], divisor);
  }
  use(chains);
  return static_cast<double>(rounds) * kChains * kLanes;
}

BHAR_KERNEL double read(const float* from, std::int64_t count, std::int64_t rounds) {
  constexpr std::int64_t kStep = kChains * kLanes;
  Vector chains[kChains];
  begin(chains);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (std::int64_t at = 0; at + kStep <= count; at += kStep) {
#pragma GCC unroll 16
      for (int i = 0; i < kChains; ++i) {
        chains[i] = add(chains[i], load(from + at + i * kLanes, Whole{}));
      }
    }
  }
  use(chains);
  return static_cast<double>(rounds) * (count / kStep) * kStep * sizeof(float);
}

#ifdef BHAR_PROBE_TILES
// Of bfloat16: 16 rows by 16 columns, 32 products each. Six tiles of sums and two of factors.
BHAR_TILES double multiply_tiles(std::int64_t rounds) {
  const WholeTiles tiles;
  for (std::int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  return static_cast<double>(rounds) * 6 * kTileRows * 16 * 32;
}
#endif

}  // namespace
}  // namespace bhar

extern "C" {

double bhar_multiply_add(std::int64_t rounds) { return bhar::multiply_add(rounds); }
double bhar_multiply_add_bytes(std::int64_t rounds) { return bhar::multiply_add_bytes(rounds); }
double bhar_divide(std::int64_t rounds) { return bhar::divide(rounds); }
double bhar_read(const float* from, std::int64_t count, std::int64_t rounds) {
  return bhar::read(from, count, rounds);
}
#ifdef BHAR_PROBE_TILES
double bhar_multiply_tiles(std::int64_t rounds) { return bhar::multiply_tiles(rounds); }
#endif
}
