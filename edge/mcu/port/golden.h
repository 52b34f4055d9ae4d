/* What the reference computed for some samples; the arrays are in golden.c. Flat, in C order. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "model.h"

extern const int32_t golden_samples;
extern const char* const golden_names[MODEL_POPULATIONS];
extern const uint8_t golden_frames[];     /* [samples][MODEL_FRAME_BYTES] */
extern const int32_t golden_outputs[];    /* [samples][MODEL_OUTPUTS] */
extern const uint32_t golden_checksums[]; /* [samples][MODEL_POPULATIONS][2]: CRC-32 of membranes, of words */
extern const uint32_t golden_tables[];    /* [MODEL_TABLES]: CRC-32 */

#endif
