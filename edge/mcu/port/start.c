/* SPDX-License-Identifier: Apache-2.0 */
/* What all start-up code shares: memory as C expects it, how deep the stack has been, and what compilers
 * call. */
#include "start.h"

#include <stddef.h>

extern uint32_t port_data_load[], port_data_begin[], port_data_end[], port_bss_begin[], port_bss_end[];
extern uint32_t port_stack_paint[];
int main(void);
void* memcpy(void* to, const void* from, size_t bytes);
void* memset(void* to, int value, size_t bytes);

#define STACK_PAINT 0xA5A5A5A5u

void port_start(void) {
    const uint32_t* from = port_data_load;
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    for (uint32_t* paint = port_stack_paint; (uintptr_t)paint + 64u < here; paint++) {
        *paint = STACK_PAINT;
    }
    for (uint32_t* to = port_data_begin; to < port_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t* to = port_bss_begin; to < port_bss_end; to++) {
        *to = 0u;
    }
    port_prepare();
    port_stop((uint32_t)main());
}

/* The paint of port_start shows how deep the stack has been. */
uint32_t port_stack_used(void) {
    const uint32_t* word = port_stack_paint;
    while (*word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)port_stack_top - (uintptr_t)word);
}

void port_fault(void) {
    port_print("fault\n");
    port_stop(99u);
}

/* Compilers may emit calls of these two, and there is no C library here. */
void* memcpy(void* to, const void* from, size_t bytes) {
    volatile uint8_t* target = (volatile uint8_t*)to;
    const uint8_t* source = (const uint8_t*)from;
    for (size_t n = 0; n < bytes; n++) {
        target[n] = source[n];
    }
    return to;
}

void* memset(void* to, int value, size_t bytes) {
    volatile uint8_t* target = (volatile uint8_t*)to;
    for (size_t n = 0; n < bytes; n++) {
        target[n] = (uint8_t)value;
    }
    return to;
}
