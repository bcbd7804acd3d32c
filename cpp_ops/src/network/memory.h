// Where the features of a network lie, and when.
#pragma once

#include <cstdint>
#include <vector>

#include "bhar_ops/network.h"

namespace bhar {

struct Network::Memory {
  Features features;
  std::vector<bool> written;        // channels
  std::size_t first = 0, last = 0;  // layers between which the memory is in use
  std::int64_t rate = 0;  // causal: a frame of it for so many of the input; 0 is not known
  std::int64_t sees = 0;  // causal: frames of the input
  std::int64_t offset = 0;
};

// Floats up to the next cache line.
inline std::int64_t align(std::int64_t floats) { return (floats + 15) / 16 * 16; }

}  // namespace bhar
