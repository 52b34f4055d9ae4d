/* SPDX-License-Identifier: Apache-2.0 */
/* What the reference computed for some samples; the arrays are in model_golden.c. Flat; frames and results in
 * C order. Checksums are CRC-32, over all passes, of registers as they lie in memory. */
#ifndef MODEL_GOLDEN_H
#define MODEL_GOLDEN_H

#include "model.h"

extern const int32_t model_golden_samples;
extern const char* const model_golden_names[MODEL_TRACES]; /* population and key */
extern const uint8_t model_golden_frames[];                /* [samples][MODEL_FRAME_BYTES] */
extern const int32_t model_golden_outputs[];               /* [samples][MODEL_OUTPUTS] */
extern const int32_t model_golden_classes[];               /* [samples] */
extern const uint32_t model_golden_checksums[];            /* [samples][MODEL_TRACES] */
extern const uint32_t model_golden_tables[];               /* [MODEL_TABLES] */
#ifdef MODEL_STEP_BYTES
/* Steps that go on from one to the next, and the checksums of all; the last one is that of their results. */
extern const int32_t model_golden_steps;
extern const uint8_t model_golden_events[];  /* [steps][MODEL_STEP_BYTES] */
extern const uint32_t model_golden_stream[]; /* [MODEL_TRACES + 1] */
#endif

#endif
