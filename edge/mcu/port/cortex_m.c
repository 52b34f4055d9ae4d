/* SPDX-License-Identifier: Apache-2.0 */
/* Cortex-M: vector table, start-up, and a debugger's semihosting for output and exit. */
#include <stddef.h>

#include "start.h"

void port_reset(void);

#define SYSTICK_CONTROL (*(volatile uint32_t*)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t*)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t*)0xE000E018u)
#define CONFIGURATION (*(volatile uint32_t*)0xE000ED14u)
#define COPROCESSOR_ACCESS (*(volatile uint32_t*)0xE000ED88u)
#define SYSTICK_TOP 0xFFFFFFu
#define UNALIGNED_IS_A_FAULT 8u

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

static int semihost(int operation, const void* argument) {
    register int r0 __asm__("r0") = operation;
    register const void* r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void port_stop(uint32_t code) {
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

typedef void (*handler)(void);
typedef struct {
    uint32_t* stack;
    handler handlers[15];
} vector_table;

extern const vector_table port_vectors;
__attribute__((section(".vectors"), used)) const vector_table port_vectors = {
    port_stack_top,
    {port_reset, port_fault, port_fault, port_fault, port_fault, port_fault, NULL, NULL, NULL, NULL,
     port_fault, port_fault, NULL, port_fault, port_fault}};

/* The hardware has loaded the stack pointer from the first vector. */
void port_reset(void) {
    port_start();
}

void port_prepare(void) {
#if defined(__ARM_ARCH) && __ARM_ARCH == 6
    CONFIGURATION |= UNALIGNED_IS_A_FAULT; /* as it always is on Armv6-M; a larger core may run its code */
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    COPROCESSOR_ACCESS |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    SYSTICK_RELOAD = SYSTICK_TOP;
    SYSTICK_VALUE = 0u;
    SYSTICK_CONTROL = 5u; /* the processor's clock, no interrupt */
}

void port_print(const char* text) {
    semihost(SYS_WRITE0, text);
}

/* SysTick counts 24 bits down: good for differences of up to 16 million cycles. */
uint32_t port_ticks(void) {
    return SYSTICK_TOP - SYSTICK_VALUE;
}
