/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

static inline int uart_poll_in(const struct device* device, unsigned char* byte) {
    const int read = getchar();
    (void)device;
    if (read < 0) {
        exit(0);
    }
    *byte = (unsigned char)read;
    return 0;
}
static inline void uart_poll_out(const struct device* device, unsigned char byte) {
    (void)device;
    putchar(byte);
    fflush(stdout);
}
