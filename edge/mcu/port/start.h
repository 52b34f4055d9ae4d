/* SPDX-License-Identifier: Apache-2.0 */
/* What start-up code of a core has, and what it shares with others. */
#ifndef SPIKERUN_START_H
#define SPIKERUN_START_H

#include "port.h"

extern uint32_t port_stack_top[];

void port_start(
    void); /* the stack pointer is set: prepares memory and core, runs main, stops with its result */
void port_fault(void);   /* says so, and stops */
void port_prepare(void); /* of the core: what is to be switched on */
void port_stop(uint32_t code);

#endif
