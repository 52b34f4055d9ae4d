/* What a machine offers to the self-test. */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

void port_print(const char* text);
/* A counter that runs up with time: processor cycles on a board, 0 where there is none. */
uint32_t port_ticks(void);
/* The deepest that the stack has been, in bytes; 0 where nobody measures it. */
uint32_t port_stack_used(void);

#endif
