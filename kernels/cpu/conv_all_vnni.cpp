// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_all.hpp, for AVX-512 with VNNI: one instruction multiplies four words of a byte by the
// weights of sixteen channels, and adds all products to sums of 32 bits.
#define SPIKERUN_TARGET SPIKERUN_VNNI
#define SPIKERUN_TARGET_INLINE SPIKERUN_VNNI_INLINE
#include "conv_all_avx512.hpp"

#if defined(SPIKERUN_X86)

namespace spikerun {
namespace {

struct Vnni {
    struct Bytes : Lane {
        static constexpr uint16_t largest = 255;
        static constexpr size_t bytes = 64, outputs = 6, vectors = 4, unit = 64;
        template <class L, size_t Outputs, size_t Vectors>
        using Method = Dots<L, Outputs, Vectors>;
        SPIKERUN_VNNI_INLINE static Vector weights(const int8_t* from) { return load_wide(from); }
        // In assembler: GCC copies the sums of the function that stands for it.
        SPIKERUN_VNNI_INLINE static void add(Vector& sum, Vector words, Vector weights) {
            asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(words), "v"(weights));
        }
    };
    using Words = WideWords;
};

}  // namespace

SPIKERUN_VNNI SPIKERUN_ALL(all_vnni) {
    run_all<Vnni>(p, group, x, acc, scratch, part);
}

}  // namespace spikerun

#endif
