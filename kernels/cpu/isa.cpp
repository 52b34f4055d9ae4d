// SPDX-License-Identifier: Apache-2.0
#include "isa.hpp"

namespace spikerun {

namespace {

constexpr const char* names[] = {"generic", "v3", "v4"};

Isa best() {
#if defined(SPIKERUN_X86)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v4 ? Isa::v4 : v3 ? Isa::v3 : Isa::generic;
#else
    return Isa::generic;
#endif
}

}  // namespace

std::atomic<Isa> current_isa{best()};

std::vector<std::string> isas() {
    return {names, names + static_cast<size_t>(best()) + 1};
}

std::string isa() {
    return names[static_cast<size_t>(current_isa.load())];
}

void choose_isa(const std::string& name) {
    std::string known;
    const std::vector<std::string> all = isas();
    for (size_t i = 0; i < all.size(); ++i) {
        if (all[i] == name) {
            current_isa = static_cast<Isa>(i);
            return;
        }
        known += (i ? ", '" : "'") + all[i] + "'";
    }
    require(false, "isa", "this processor has " + known + ", got '" + name + "'");
}

}  // namespace spikerun
