// Floats in half the memory: integers of 16 bits, of which a few share one scale.
#pragma once

#include <cstdint>

namespace bhar {

// Floats of memory that `count` packed ones take.
std::int64_t packed_size(std::int64_t count);

// Each is kept to within 1 / 65534 of the greatest of the 32 that share its scale. Where one of
// these is no finite number, all of them come back as NaN.
void pack_floats(const float* x, std::int64_t count, float* packed);
void unpack_floats(const float* packed, std::int64_t count, float* x);

}  // namespace bhar
