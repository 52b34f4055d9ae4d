/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine offers to the self-test. */
#ifndef SPIKERUN_PORT_H
#define SPIKERUN_PORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void port_print(const char* text);
/* A counter that runs up with time: processor cycles on a board, 0 where there is none. */
uint32_t port_ticks(void);
/* The deepest that the stack has been, in bytes; 0 where nobody measures it. */
uint32_t port_stack_used(void);

/* Marks of what is to be counted: they do nothing, and an emulator's plugin sees them. `begin` and `end`
 * enclose it; `next`, once and again between two such stretches, numbers the one before it. */
#if defined(__thumb__)
#define SPIKERUN_MARK(thumb, riscv) __asm__ volatile(thumb::: "memory")
#elif defined(__riscv)
#define SPIKERUN_MARK(thumb, riscv) __asm__ volatile(riscv::: "memory")
#else
#define SPIKERUN_MARK(thumb, riscv) (void)0
#endif
#define SPIKERUN_MARK_BEGIN() SPIKERUN_MARK("mov r9, r9", "slti x0, x0, 1")
#define SPIKERUN_MARK_END() SPIKERUN_MARK("mov r10, r10", "slti x0, x0, 2")
#define SPIKERUN_MARK_NEXT() SPIKERUN_MARK("mov r11, r11", "slti x0, x0, 3")

/* The same, as a self-test takes it: where its lines go, a counter of time, the depth of the stack (or NULL).
 */
typedef struct {
    void (*print)(const char* text);
    uint32_t (*ticks)(void);
    uint32_t (*stack)(void);
} spikerun_port;

#ifdef __cplusplus
}
#endif

#endif
