/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine offers to the self-test. */
#ifndef SPIKERUN_PORT_H
#define SPIKERUN_PORT_H

#include <stdint.h>

void port_print(const char* text);
/* A counter that runs up with time: processor cycles on a board, 0 where there is none. */
uint32_t port_ticks(void);
/* The deepest that the stack has been, in bytes; 0 where nobody measures it. */
uint32_t port_stack_used(void);

/* The same, as a self-test takes it: where its lines go, a counter of time, the depth of the stack (or NULL).
 */
typedef struct {
    void (*print)(const char* text);
    uint32_t (*ticks)(void);
    uint32_t (*stack)(void);
} spikerun_port;

#endif
