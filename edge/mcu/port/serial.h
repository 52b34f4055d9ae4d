/* SPDX-License-Identifier: Apache-2.0 */
/* The network at the end of a serial line: give each byte that comes to `take`, which answers whole requests.
 *
 * frames: kind 'F', a frame of MODEL_FRAME_BYTES, is answered by the class and the results.
 * events: kind 'E', the places of the spikes of a step (model_event each), is answered by the class and the
 *         results of the step; kind 'R' puts the network to rest. */
#ifndef MODEL_SERIAL_H
#define MODEL_SERIAL_H

#include "model.h"
#include "spikerun_packet.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    model_state state;
    spikerun_packet packet;
    int32_t answer[1 + MODEL_OUTPUTS]; /* the class and the results */
    uint8_t frame[MODEL_FRAME_BYTES];
} model_frames;
void model_frames_begin(model_frames* self);
void model_frames_take(model_frames* self, uint8_t byte, spikerun_sender send, void* context);

#ifdef MODEL_TAKES_EVENTS
typedef struct {
    model_state state;
    spikerun_packet packet;
    int32_t answer[1 + MODEL_OUTPUTS];
    model_event events[MODEL_STEP_BYTES];
} model_events;
void model_events_begin(model_events* self);
void model_events_take(model_events* self, uint8_t byte, spikerun_sender send, void* context);
#endif

#ifdef __cplusplus
}
#endif

#endif
