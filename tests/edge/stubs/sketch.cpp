// SPDX-License-Identifier: Apache-2.0
#include <Arduino.h>

Port Serial;

int main() {
    setup();
    for (;;) {
        loop();
    }
}
