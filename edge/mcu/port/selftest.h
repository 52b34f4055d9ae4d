/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test: runs the golden samples and compares every result, class, membrane, word and table. */
#ifndef MODEL_SELFTEST_H
#define MODEL_SELFTEST_H

#include "model.h"
#include "port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the number of mismatches, 0 if all is identical; -1 if a pointer is NULL. `out` has room for
 * MODEL_OUTPUTS results, `sums` for MODEL_TRACES checksums. Prints lines:
 *
 *   begin SAMPLES TRACES OUTPUTS
 *   table INDEX                            a constant table that is not as generated
 *   sample INDEX STATUS TICKS RESULT...
 *   mismatch SAMPLE POPULATION KEY         as they are found; `- output|class|status` are the results
 *   mismatch stream POPULATION KEY         the same of the steps that go on from one to the next
 *   stack BYTES
 *   end MISMATCHES
 */
int32_t model_selftest(model_state* state, int32_t* out, uint32_t* sums, const spikerun_port* port);

#ifdef __cplusplus
}
#endif

#endif
