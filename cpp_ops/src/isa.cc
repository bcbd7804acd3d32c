#include "bhar_ops/isa.h"

#include <algorithm>
#include <cstdlib>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bhar {
namespace {

#if defined(__x86_64__)
// These ask the operating system too: a CPU whose wide registers are not saved does not count.
bool cpu_has_avx512() { return __builtin_cpu_supports("avx512f"); }
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
bool cpu_has_avx512() { return false; }
bool cpu_has_avx2() { return false; }
#endif

#if defined(__x86_64__) && defined(__linux__)
// Tiles are memory that a process has to ask its kernel for, once for all of its threads.
bool may_use_tiles() {
  constexpr long kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
}
// That of tiles, of bfloat16 and of bytes in them; __builtin_cpu_supports of GCC 10 knows none.
bool cpu_has_amx() {
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24, kBytes = 1u << 25;
  constexpr unsigned kAll = kBfloat16 | kTiles | kBytes;
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool asked = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0;
  return asked && (d & kAll) == kAll && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vnni") && may_use_tiles();
}
#else
bool cpu_has_amx() { return false; }
#endif

#if defined(__aarch64__)
bool cpu_has_neon() { return true; }  // part of the AArch64 base
#else
bool cpu_has_neon() { return false; }
#endif

bool always() { return true; }

struct IsaRow {
  Isa isa;
  const char* name;
  bool (*cpu_has)();
};

// In the order of preference.
constexpr IsaRow kIsas[] = {
    {Isa::kAmx, "amx", cpu_has_amx},    {Isa::kAvx512, "avx512", cpu_has_avx512},
    {Isa::kAvx2, "avx2", cpu_has_avx2}, {Isa::kNeon, "neon", cpu_has_neon},
    {Isa::kScalar, "scalar", always},
};

bool is_available(Isa isa) {
  const std::vector<Isa>& isas = available_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

std::string joined_names(bool only_available) {
  std::string names;
  for (const IsaRow& row : kIsas) {
    if (only_available && !is_available(row.isa)) continue;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return names;
}

Isa choose_active() {
  const char* forced = std::getenv("BHAR_FORCE_ISA");
  if (forced == nullptr || *forced == '\0') return available_isas().front();
  return isa_from_name(forced);
}

}  // namespace

const char* isa_name(Isa isa) {
  for (const IsaRow& row : kIsas) {
    if (row.isa == isa) return row.name;
  }
  return "unnamed";
}

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> available = [] {
    std::vector<Isa> isas;
    for (const IsaRow& row : kIsas) {
      if (row.cpu_has()) isas.push_back(row.isa);
    }
    return isas;
  }();
  return available;
}

Isa isa_from_name(const std::string& name) {
  for (const IsaRow& row : kIsas) {
    if (name != row.name) continue;
    if (is_available(row.isa)) return row.isa;
    throw UnavailableIsaError(
        "got instruction set '" + name + "', which this CPU does not have, expected one of " +
        joined_names(true) + ": set BHAR_FORCE_ISA to one of them or unset it");
  }
  throw UnknownIsaError("got instruction set '" + name + "', expected one of " +
                        joined_names(false) + ": set BHAR_FORCE_ISA to one of them or unset it");
}

Isa active_isa() {
  static const Isa active = choose_active();  // a throw leaves it unset: the next call throws again
  return active;
}

}  // namespace bhar
