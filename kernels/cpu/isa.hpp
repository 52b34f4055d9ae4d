// SPDX-License-Identifier: Apache-2.0
// Kernels for several instruction sets: each is compiled for all of them, and called in the one that is
// chosen. Functions bear their instruction set as an attribute instead of files as a flag: the effect is the
// same, it stands in the source, and no inline function of a header is compiled for a set that the processor
// lacks and then linked in for all.
#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "common.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define SPIKERUN_X86
#endif

namespace spikerun {

// plain: what the compiler builds by default; it is called neon on 64-bit Arm, generic elsewhere. Of x86-64
// with SSE4, AVX2, AVX-512, and AVX-512 with VNNI: the levels x86-64-v2, -v3, -v4 and beyond.
enum class Isa { plain, sse4, v3, v4, v4_vnni };

// The names of those that this processor executes, the best one last.
std::vector<std::string> isas();
// The name of the one in use: the best, unless another is chosen.
std::string isa();
// Throws, and says which there are, where the processor has no `name`.
void choose_isa(const std::string& name);

extern std::atomic<Isa> current_isa;

#if defined(SPIKERUN_X86)
template <class Kernel, class... Arguments>
[[gnu::target("arch=x86-64-v2")]] decltype(auto) run_sse4(Arguments&&... arguments) noexcept {
    return Kernel::run(arguments...);
}
template <class Kernel, class... Arguments>
[[gnu::target("arch=x86-64-v3")]] decltype(auto) run_v3(Arguments&&... arguments) noexcept {
    return Kernel::run(arguments...);
}
template <class Kernel, class... Arguments>
[[gnu::target("arch=x86-64-v4")]] decltype(auto) run_v4(Arguments&&... arguments) noexcept {
    return Kernel::run(arguments...);
}
#endif

// Kernel::run(arguments...). It and all that it calls must be SPIKERUN_INLINE (lambdas:
// SPIKERUN_LAMBDA_INLINE), so that they are compiled within each of the functions above. With
// SPIKERUN_FEW_ISAS, for builds that are made to be tested, within two of them: the code is the same in all.
template <class Kernel, class... Arguments>
decltype(auto) run(Arguments&&... arguments) noexcept {
#if defined(SPIKERUN_X86)
    switch (current_isa.load(std::memory_order_relaxed)) {
#if defined(SPIKERUN_FEW_ISAS)
        case Isa::v4_vnni:
        case Isa::v4:
        case Isa::v3:
            return run_v3<Kernel>(arguments...);
        case Isa::sse4:
#else
        case Isa::v4_vnni:
        case Isa::v4:
            return run_v4<Kernel>(arguments...);
        case Isa::v3:
            return run_v3<Kernel>(arguments...);
        case Isa::sse4:
            return run_sse4<Kernel>(arguments...);
#endif
        case Isa::plain:
            break;
    }
#endif
    return Kernel::run(arguments...);
}

}  // namespace spikerun
