/* The self-test: runs the golden samples and compares every result, membrane, word and table. */
#ifndef SELFTEST_H
#define SELFTEST_H

#include "model.h"

/* What the self-test needs of the machine: where its lines go, a counter of time, the depth of the stack (or
 * NULL). */
typedef struct {
    void (*print)(const char* text);
    uint32_t (*ticks)(void);
    uint32_t (*stack)(void);
} selftest_port;

/* Returns the number of mismatches, 0 if all is identical. `out` has room for MODEL_OUTPUTS results, `sums`
 * for 2 * MODEL_POPULATIONS checksums. Prints: begin SAMPLES POPULATIONS OUTPUTS sample INDEX STATUS TICKS
 * RESULT... mismatch SAMPLE POPULATION membrane|words|output|status     (as they are found) table INDEX (a
 * constant table that is not as generated) stack BYTES end MISMATCHES
 */
int32_t model_selftest(model_state* state, int32_t* out, uint32_t* sums, const selftest_port* port);

#endif
