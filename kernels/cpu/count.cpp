#include "rows.hpp"

namespace spikerun {

SPIKERUN_CLONES size_t count_nonzero(const int16_t* x, size_t n) noexcept {
    size_t count = 0;
    for (size_t i = 0; i < n; ++i) count += x[i] != 0;
    return count;
}

}  // namespace spikerun
