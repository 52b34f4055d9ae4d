/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "port.h"

void port_print(const char* text) {
    fputs(text, stdout);
}

uint32_t port_ticks(void) {
    return 0;
}

uint32_t port_stack_used(void) {
    return 0;
}
