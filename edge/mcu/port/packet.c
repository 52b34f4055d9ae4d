/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun_packet.h"

enum { KIND = 1, PAYLOAD = 6, CRC_BYTES = 4 };

void spikerun_packet_begin(spikerun_packet* self, uint8_t* payload, uint32_t room) {
    self->payload = payload;
    self->room = room;
    self->got = 0u;
    self->length = 0u;
    self->sum = 0u;
    self->crc = 0u;
    self->kind = 0u;
}

static spikerun_packet_progress end(spikerun_packet* self, spikerun_packet_progress progress) {
    self->got = 0u;
    return progress;
}

spikerun_packet_progress spikerun_packet_take(spikerun_packet* self, uint8_t byte) {
    const uint32_t at = self->got;
    if (at == 0u) {
        spikerun_packet_begin(self, self->payload, self->room);
        self->got = byte == (uint8_t)'S' ? 1u : 0u;
        return SPIKERUN_PACKET_MORE;
    }
    self->got++;
    if (at < PAYLOAD || at - PAYLOAD < self->length) {
        self->crc = spikerun_crc32(self->crc, &byte, 1);
        if (at == KIND) {
            self->kind = byte;
        } else if (at < PAYLOAD) {
            self->length |= (uint32_t)byte << (8u * (at - KIND - 1u));
        } else {
            self->payload[at - PAYLOAD] = byte;
        }
        if (at == PAYLOAD - 1u && self->length > self->room) {
            return end(self, SPIKERUN_PACKET_BROKEN);
        }
        return SPIKERUN_PACKET_MORE;
    }
    self->sum |= (uint32_t)byte << (8u * (at - PAYLOAD - self->length));
    if (at - PAYLOAD - self->length < CRC_BYTES - 1u) {
        return SPIKERUN_PACKET_MORE;
    }
    return end(self, self->sum == self->crc ? SPIKERUN_PACKET_WHOLE : SPIKERUN_PACKET_BROKEN);
}

static void number(uint8_t* to, uint32_t value) {
    for (uint32_t n = 0; n < 4u; n++) {
        to[n] = (uint8_t)((value >> (8u * n)) & 255u);
    }
}

void spikerun_packet_reply(uint8_t kind, int32_t status, const int32_t* values, uint32_t count,
                           spikerun_sender send, void* context) {
    uint8_t bytes[7] = {(uint8_t)'s', kind, (uint8_t)status};
    uint32_t crc;
    number(bytes + 3, 4u * count);
    send(context, bytes, sizeof bytes);
    crc = spikerun_crc32(0u, bytes + 1, sizeof bytes - 1u);
    for (uint32_t n = 0; n < count; n++) {
        number(bytes, (uint32_t)values[n]);
        send(context, bytes, 4);
        crc = spikerun_crc32(crc, bytes, 4);
    }
    number(bytes, crc);
    send(context, bytes, 4);
}
