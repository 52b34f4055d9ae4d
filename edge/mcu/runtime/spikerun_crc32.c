/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

static uint32_t update(uint32_t crc, uint32_t byte) {
    /* the polynomial 0xedb88320, four bits at a time: 64 bytes of flash instead of 1,024 */
    static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu,
                                       0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
                                       0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                       0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    crc ^= byte;
    crc = (crc >> 4) ^ table[crc & 15u];
    return (crc >> 4) ^ table[crc & 15u];
}

uint32_t spikerun_crc32(uint32_t crc, const void* data, size_t bytes) {
    const uint8_t* byte = (const uint8_t*)data;
    crc = ~crc;
    for (size_t n = 0; n < bytes; n++) {
        crc = update(crc, byte[n]);
    }
    return ~crc;
}

uint32_t spikerun_crc32_values(uint32_t crc, const int32_t* values, int32_t count) {
    crc = ~crc;
    for (int32_t n = 0; n < count; n++) {
        const uint32_t value = (uint32_t)values[n];
        for (int32_t shift = 0; shift < 32; shift += 8) {
            crc = update(crc, (value >> shift) & 255u);
        }
    }
    return ~crc;
}
