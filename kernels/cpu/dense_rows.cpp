// SPDX-License-Identifier: Apache-2.0
#include "dense_rows.hpp"

#include "isa.hpp"

namespace spikerun {

bool add_dense_rows([[maybe_unused]] const DenseJob& job) noexcept {
#if defined(SPIKERUN_X86)
    const Isa isa = current_isa.load(std::memory_order_relaxed);
    if (isa >= Isa::v4)
        add_dense_rows_avx512(job, isa >= Isa::v4_vnni);
    else if (isa >= Isa::v3)
        add_dense_rows_avx2(job);
    return isa >= Isa::v3;
#else
    return false;
#endif
}

}  // namespace spikerun
