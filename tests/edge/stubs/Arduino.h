/* SPDX-License-Identifier: Apache-2.0 */
/* As much of Arduino's interface as the sketches take, on standard input and output. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct Port {
    void begin(unsigned long) {}
    int available() {
        const int byte = getchar();
        if (byte < 0) {
            exit(0);
        }
        ungetc(byte, stdin);
        return 1;
    }
    int read() { return getchar(); }
    size_t write(const uint8_t* bytes, size_t count) {
        fwrite(bytes, 1, count, stdout);
        fflush(stdout);
        return count;
    }
    void print(const char* text) { fputs(text, stdout); }
};
extern Port Serial;

inline unsigned long micros() {
    return 0;
}
inline void delay(unsigned long) {
    exit(0);
}

void setup();
void loop();

#endif
