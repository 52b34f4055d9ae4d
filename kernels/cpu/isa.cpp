// SPDX-License-Identifier: Apache-2.0
#include "isa.hpp"

#include <algorithm>

namespace spikerun {

namespace {

#if defined(__aarch64__)
constexpr const char* plain = "neon";
#else
constexpr const char* plain = "generic";
#endif
constexpr const char* names[] = {plain, "sse4", "v3", "v4", "v4-vnni"};

Isa best() {
#if defined(SPIKERUN_X86)
    __builtin_cpu_init();
    const bool sse4 = __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2") &&
                      __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
    const bool v3 = sse4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    const bool vnni = v4 && __builtin_cpu_supports("avx512vnni");
    return vnni ? Isa::v4_vnni : v4 ? Isa::v4 : v3 ? Isa::v3 : sse4 ? Isa::sse4 : Isa::plain;
#else
    return Isa::plain;
#endif
}

// The plain one is there where there is no other.
std::vector<Isa> all() {
    std::vector<Isa> found;
    const Isa last = best();
    for (int k = std::min(static_cast<int>(last), 1); k <= static_cast<int>(last); ++k)
        found.push_back(static_cast<Isa>(k));
    return found;
}

std::string name_of(Isa isa) {
    return names[static_cast<size_t>(isa)];
}

}  // namespace

std::atomic<Isa> current_isa{best()};

std::vector<std::string> isas() {
    std::vector<std::string> found;
    for (const Isa isa : all()) found.push_back(name_of(isa));
    return found;
}

std::string isa() {
    return name_of(current_isa.load());
}

void choose_isa(const std::string& name) {
    std::string known;
    for (const Isa isa : all()) {
        if (name_of(isa) == name) {
            current_isa = isa;
            return;
        }
        known += (known.empty() ? "'" : ", '") + name_of(isa) + "'";
    }
    require(false, "isa", "this processor has " + known + ", got '" + name + "'");
}

}  // namespace spikerun
