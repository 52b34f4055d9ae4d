/* SPDX-License-Identifier: Apache-2.0 */
#include "model_serial.h"

static void answer(uint8_t kind, int32_t status, int32_t* values, spikerun_sender send, void* context) {
    const uint32_t count = status == (int32_t)SPIKERUN_OK ? 1u + MODEL_OUTPUTS : 0u;
    if (count != 0u) {
        values[0] = model_classify(values + 1);
    }
    spikerun_packet_reply(kind, status, values, count, send, context);
}

void model_frames_begin(model_frames* self) {
    spikerun_packet_begin(&self->packet, self->frame, MODEL_FRAME_BYTES);
}

void model_frames_take(model_frames* self, uint8_t byte, spikerun_sender send, void* context) {
    const spikerun_packet_progress progress = spikerun_packet_take(&self->packet, byte);
    const uint8_t kind = self->packet.kind;
    if (progress == SPIKERUN_PACKET_MORE) {
        return;
    }
    if (progress == SPIKERUN_PACKET_BROKEN || kind != (uint8_t)'F') {
        answer(kind, SPIKERUN_PACKET_DAMAGED, NULL, send, context);
    } else if (self->packet.length != MODEL_FRAME_BYTES) {
        answer(kind, (int32_t)SPIKERUN_ERROR_SIZE, NULL, send, context);
    } else {
        const spikerun_status status = model_run(&self->state, self->frame, self->answer + 1);
        answer(kind, (int32_t)status, self->answer, send, context);
    }
}

#ifdef MODEL_TAKES_EVENTS
void model_events_begin(model_events* self) {
    spikerun_packet_begin(&self->packet, (uint8_t*)self->events, sizeof self->events);
    (void)model_reset(&self->state);
}

/* The bytes of the payload as numbers, each in its place. */
static uint32_t numbers(model_events* self) {
    const uint8_t* byte = (const uint8_t*)self->events;
    const uint32_t count = self->packet.length / (uint32_t)sizeof(model_event);
    for (uint32_t n = 0; n < count; n++) {
        uint32_t value = 0u;
        for (uint32_t k = 0; k < (uint32_t)sizeof(model_event); k++) {
            value |= (uint32_t)*byte++ << (8u * k);
        }
        self->events[n] = (model_event)value;
    }
    return count;
}

void model_events_take(model_events* self, uint8_t byte, spikerun_sender send, void* context) {
    const spikerun_packet_progress progress = spikerun_packet_take(&self->packet, byte);
    const uint8_t kind = self->packet.kind;
    if (progress == SPIKERUN_PACKET_MORE) {
        return;
    }
    if (progress == SPIKERUN_PACKET_BROKEN || (kind != (uint8_t)'E' && kind != (uint8_t)'R')) {
        answer(kind, SPIKERUN_PACKET_DAMAGED, NULL, send, context);
    } else if (self->packet.length % (uint32_t)sizeof(model_event) != 0u) {
        answer(kind, (int32_t)SPIKERUN_ERROR_SIZE, NULL, send, context);
    } else if (kind == (uint8_t)'R') {
        spikerun_packet_reply(kind, (int32_t)model_reset(&self->state), NULL, 0u, send, context);
    } else {
        const uint32_t count = numbers(self);
        const spikerun_status status = model_step_events(&self->state, self->events, count, self->answer + 1);
        answer(kind, (int32_t)status, self->answer, send, context);
    }
}
#endif
