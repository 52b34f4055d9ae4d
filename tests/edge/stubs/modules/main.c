// SPDX-License-Identifier: Apache-2.0
#include "ear.h"
#include "eye.h"

int main(void) {
    static ear_state ear;
    static eye_state eye;
    return (int)(ear_reset(&ear) + eye_reset(&eye));
}
