/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin for QEMU that counts what runs between two instructions that do nothing, the marks of port.h.
 * Debian has no header of the interface (its version 1, as QEMU 7.2 has it), so what is used of it is
 * declared here.
 *
 * For each stretch from a mark `begin` to a mark `end` it writes a line of decimal numbers: the index of the
 * stretch, instructions, values loaded, values stored, branches taken, instructions of the FPU and of Helium.
 * The index is the number of marks `next` between the mark that ended it and the one that follows. Marks are
 * not counted. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char* target_name;
} qemu_info; /* more follows, which is not read */
enum { NO_REGISTERS = 0, ADD = 0, LOADS_AND_STORES = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                           void (*call)(uint64_t id, struct qemu_plugin_tb* block));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* block,
                                          void (*call)(unsigned cpu, void* data), int registers, void* data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* insn,
                                            void (*call)(unsigned cpu, void* data), int registers,
                                            void* data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* insn, int what, void* to,
                                                uint64_t value);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn* insn,
                                      void (*call)(unsigned cpu, uint32_t access, uint64_t address,
                                                   void* data),
                                      int registers, int which, void* data);
bool qemu_plugin_mem_is_store(uint32_t access);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*call)(uint64_t id, void* data), void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn* insn);

SHOWN int qemu_plugin_version = 1;

typedef struct {
    uint64_t instructions, loads, stores, branches, vectors;
} counts;

typedef struct {
    uint64_t begin, end;
} block_range;

static counts now, at_begin, stretch;
static uint64_t index_of_stretch, end_of_block;
static bool pending, arm;
static FILE* out;

static void write_stretch(void) {
    if (pending) {
        fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                index_of_stretch, stretch.instructions, stretch.loads, stretch.stores, stretch.branches,
                stretch.vectors);
    }
    pending = false;
}

static void on_begin(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    write_stretch();
    at_begin = now;
}

static void on_end(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    stretch.instructions = now.instructions - at_begin.instructions;
    stretch.loads = now.loads - at_begin.loads;
    stretch.stores = now.stores - at_begin.stores;
    stretch.branches = now.branches - at_begin.branches;
    stretch.vectors = now.vectors - at_begin.vectors;
    index_of_stretch = 0;
    pending = true;
}

static void on_next(unsigned cpu, void* data) {
    (void)cpu, (void)data;
    index_of_stretch++;
}

/* QEMU 7.2 takes the one for the other where it is asked for loads or stores alone. */
static void on_access(unsigned cpu, uint32_t access, uint64_t address, void* data) {
    (void)cpu, (void)address, (void)data;
    *(qemu_plugin_mem_is_store(access) ? &now.stores : &now.loads) += 1;
}

/* A block that does not begin where the one before it ended was reached by a branch. */
static void on_block(unsigned cpu, void* data) {
    const block_range* range = data;
    (void)cpu;
    now.branches += range->begin != end_of_block;
    end_of_block = range->end;
}

/* How many bytes an instruction has. QEMU's own answer is wrong for some at the end of a page. */
static uint64_t size_of(const uint8_t* bytes) {
    return (arm ? bytes[1] >= 0xe8 : (bytes[0] & 3) == 3) ? 4 : 2;
}

/* Returns 1 for `begin`, 2 for `end`, 3 for `next`, else 0. */
static int mark_of(const uint8_t* bytes) {
    static const uint8_t thumb[3][2] = {
        {0xc9, 0x46}, {0xd2, 0x46}, {0xdb, 0x46}}; /* mov rN, rN of r9, r10, r11 */
    static const uint8_t riscv[3][4] = {
        {0x13, 0x20, 0x10, 0}, {0x13, 0x20, 0x20, 0}, {0x13, 0x20, 0x30, 0}}; /* slti x0, x0, N */
    for (int k = 0; k < 3; k++) {
        if (arm ? memcmp(bytes, thumb[k], 2) == 0 : size_of(bytes) == 4 && memcmp(bytes, riscv[k], 4) == 0) {
            return k + 1;
        }
    }
    return 0;
}

/* The instructions of Thumb's coprocessors, among which are the FPU and Helium. */
static bool is_vector(const uint8_t* bytes) {
    return arm && (bytes[1] & 0xec) == 0xec;
}

static void on_translation(uint64_t id, struct qemu_plugin_tb* block) {
    static void (*const calls[])(unsigned, void*) = {NULL, on_begin, on_end, on_next};
    const size_t count = qemu_plugin_tb_n_insns(block);
    const struct qemu_plugin_insn* last = qemu_plugin_tb_get_insn(block, count - 1);
    block_range* range = malloc(sizeof *range); /* lives as long as the block, which may be until the end */
    (void)id;
    if (range == NULL) {
        abort();
    }
    range->begin = qemu_plugin_tb_vaddr(block);
    range->end = qemu_plugin_insn_vaddr(last) + size_of(qemu_plugin_insn_data(last));
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, NO_REGISTERS, range);
    for (size_t k = 0; k < count; k++) {
        struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(block, k);
        const int mark = mark_of(qemu_plugin_insn_data(insn));
        if (mark != 0) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, calls[mark], NO_REGISTERS, NULL);
            continue;
        }
        qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD, &now.instructions, 1);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, LOADS_AND_STORES, NULL);
        if (is_vector(qemu_plugin_insn_data(insn))) {
            qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD, &now.vectors, 1);
        }
    }
}

static void at_end(uint64_t id, void* data) {
    (void)id, (void)data;
    write_stretch();
    fclose(out);
}

SHOWN int qemu_plugin_install(uint64_t id, const qemu_info* info, int count, char** options) {
    if (count != 1 || strncmp(options[0], "out=", 4) != 0 || (out = fopen(options[0] + 4, "w")) == NULL) {
        return 1;
    }
    arm = strcmp(info->target_name, "arm") == 0;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, at_end, NULL);
    return 0;
}
