/* SPDX-License-Identifier: Apache-2.0 */
/* RISC-V in machine mode: start-up, and a debugger's semihosting for output and exit. */
#include "start.h"

void port_reset(void);

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

/* Three instructions of four bytes each, within a page, are what a debugger looks for. */
static int semihost(int operation, const void* argument) {
    register int a0 __asm__("a0") = operation;
    register const void* a1 __asm__("a1") = argument;
    __asm__ volatile(
        ".balign 16\n\t.option push\n\t.option norvc\n\t"
        "slli x0, x0, 0x1f\n\tebreak\n\tsrai x0, x0, 7\n\t.option pop"
        : "+r"(a0)
        : "r"(a1)
        : "memory");
    return a0;
}

void port_stop(uint32_t code) {
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

/* Registers of control are an extension that compilers of today do not take for granted. */
__attribute__((naked, section(".vectors"), used)) void port_reset(void) {
    __asm__ volatile(
        ".option push\n\t.option arch, +zicsr\n\t"
        "la sp, port_stack_top\n\tla t0, port_trap\n\tcsrw mtvec, t0\n\tj port_start\n\t.option pop");
}

/* mtvec has room for addresses that are multiples of four. */
__attribute__((naked, aligned(4), used)) void port_trap(void) {
    __asm__ volatile("la sp, port_stack_top\n\tj port_fault");
}

void port_prepare(void) {}

void port_print(const char* text) {
    semihost(SYS_WRITE0, text);
}

/* Cycles; instructions where an emulator lets each take the same time. */
uint32_t port_ticks(void) {
    uint32_t cycles;
    __asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr %0, mcycle\n\t.option pop" : "=r"(cycles));
    return cycles;
}
