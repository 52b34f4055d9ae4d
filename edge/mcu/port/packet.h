/* SPDX-License-Identifier: Apache-2.0 */
/* Packets over a serial line, whatever carries its bytes. Numbers have their least significant byte first.
 *
 *   request  'S' kind length(4) payload crc(4)             crc: CRC-32 of kind, length and payload
 *   reply    's' kind status length(4) values(4 each) crc(4)   of all but the first byte
 *
 * Bytes before an 'S' are passed by. What is damaged is answered with SPIKERUN_PACKET_DAMAGED. A request of
 * which bytes were lost waits for as many, or is passed by whole if its 'S' was: who hears no reply sends as
 * many zeros as the longest request has bytes, drops what is answered, and asks again. */
#ifndef SPIKERUN_PACKET_H
#define SPIKERUN_PACKET_H

#include "spikerun.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPIKERUN_PACKET_DAMAGED \
    255 /* a status beside those of spikerun_status: also a kind or length unknown */

/* Sends bytes; context is what the caller gave along. */
typedef void (*spikerun_sender)(void* context, const uint8_t* bytes, size_t count);

/* A request that is being read. */
typedef struct {
    uint8_t* payload;
    uint32_t room; /* bytes of payload at most */
    uint32_t got;  /* of this request so far; 0: none has begun */
    uint32_t length, sum, crc;
    uint8_t kind;
} spikerun_packet;

typedef enum { SPIKERUN_PACKET_MORE, SPIKERUN_PACKET_WHOLE, SPIKERUN_PACKET_BROKEN } spikerun_packet_progress;

void spikerun_packet_begin(spikerun_packet* self, uint8_t* payload, uint32_t room);
/* One more byte. Whole: kind, length and payload are a request's. */
spikerun_packet_progress spikerun_packet_take(spikerun_packet* self, uint8_t byte);
void spikerun_packet_reply(uint8_t kind, int32_t status, const int32_t* values, uint32_t count,
                           spikerun_sender send, void* context);

#ifdef __cplusplus
}
#endif

#endif
