// Which integer kernels stand for an instruction set: those of the CPU's extensions, if it has
// them.

#include "bhar_ops/kernels.h"
#include "dispatch.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace bhar {
namespace {

#if defined(__x86_64__)
bool cpu_has_vnni() { return __builtin_cpu_supports("avx512vnni"); }
#else
bool cpu_has_vnni() { return false; }
#endif

#if defined(__aarch64__) && defined(__linux__)
bool cpu_has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#elif defined(__aarch64__) && defined(__APPLE__)
bool cpu_has_dotprod() { return true; }  // all that run macOS
#else
bool cpu_has_dotprod() { return false; }
#endif

}  // namespace

const IntegerKernels& integer_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
    case Isa::kAvx512: return cpu_has_vnni() ? integer_avx512vnni : integer_avx2;
    case Isa::kAvx2: return integer_avx2;
    case Isa::kNeon: return cpu_has_dotprod() ? integer_neon_dotprod : integer_neon;
    case Isa::kScalar: break;
  }
  return integer_scalar;
}

}  // namespace bhar
