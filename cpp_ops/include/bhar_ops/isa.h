// Instruction sets: which ones this build and this CPU have, and which one is active.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace bhar {

// kAmx is AVX-512 with tiles: what no tile can do better, its kernels of AVX-512 do.
enum class Isa { kAmx, kAvx512, kAvx2, kNeon, kScalar };

// BHAR_FORCE_ISA (or a caller) named an instruction set that does not exist.
struct UnknownIsaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The name is known, but this CPU or this build cannot run it.
struct UnavailableIsaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

const char* isa_name(Isa isa);

// Best first; the scalar reference is always the last one.
const std::vector<Isa>& available_isas();

// Throws UnknownIsaError or UnavailableIsaError; never falls back to another one.
Isa isa_from_name(const std::string& name);

// The one named by BHAR_FORCE_ISA, read once, or else the best one available.
// Throws as isa_from_name does when the variable names something that cannot run.
Isa active_isa();

}  // namespace bhar
