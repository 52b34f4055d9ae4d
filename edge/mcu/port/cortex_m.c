/* SPDX-License-Identifier: Apache-2.0 */
/* Cortex-M: vector table, start-up, and a debugger's semihosting for output and exit. */
#include <stddef.h>

#include "port.h"

extern uint32_t port_stack_top[], port_stack_paint[];
extern uint32_t port_data_load[], port_data_begin[], port_data_end[], port_bss_begin[], port_bss_end[];
int main(void);
void port_reset(void);
void port_start(void);
void* memcpy(void* to, const void* from, size_t bytes);
void* memset(void* to, int value, size_t bytes);

#define SYSTICK_CONTROL (*(volatile uint32_t*)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t*)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t*)0xE000E018u)
#define COPROCESSOR_ACCESS (*(volatile uint32_t*)0xE000ED88u)
#define SYSTICK_TOP 0xFFFFFFu
#define STACK_PAINT 0xA5A5A5A5u

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

static int semihost(int operation, const void* argument) {
    register int r0 __asm__("r0") = operation;
    register const void* r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void stop(uint32_t code) {
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

static void fault(void) {
    port_print("fault\n");
    stop(99u);
}

typedef void (*handler)(void);
typedef struct {
    uint32_t* stack;
    handler handlers[15];
} vector_table;

extern const vector_table port_vectors;
__attribute__((section(".vectors"), used))
const vector_table port_vectors = {port_stack_top,
                                   {port_reset, fault, fault, fault, fault, fault, NULL, NULL, NULL, NULL,
                                    fault, fault, NULL, fault, fault}};

/* The hardware has loaded the stack pointer from the first vector. */
void port_reset(void) {
    port_start();
}

void port_start(void) {
    const uint32_t* from = port_data_load;
    uintptr_t here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (uint32_t* paint = port_stack_paint; (uintptr_t)paint + 64u < here; paint++) {
        *paint = STACK_PAINT;
    }
    for (uint32_t* to = port_data_begin; to < port_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t* to = port_bss_begin; to < port_bss_end; to++) {
        *to = 0u;
    }
#if defined(__ARM_FP)
    COPROCESSOR_ACCESS |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    SYSTICK_RELOAD = SYSTICK_TOP;
    SYSTICK_VALUE = 0u;
    SYSTICK_CONTROL = 5u; /* the processor's clock, no interrupt */
    stop((uint32_t)main());
}

void port_print(const char* text) {
    semihost(SYS_WRITE0, text);
}

/* SysTick counts 24 bits down: good for differences of up to 16 million cycles. */
uint32_t port_ticks(void) {
    return SYSTICK_TOP - SYSTICK_VALUE;
}

/* The paint of port_start shows how deep the stack has been. */
uint32_t port_stack_used(void) {
    const uint32_t* word = port_stack_paint;
    while (*word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)port_stack_top - (uintptr_t)word);
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
