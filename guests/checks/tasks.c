/* Task switching by 32-bit task state segments: JMP, CALL, IRET, task gates, and what must not pass. SDM 3A chapter 7. */
#include "segments.h"

static struct tss second, rescue_task, bad;
static u8 second_stack[1024] __attribute__((aligned(16)));
static u8 rescue_stack[1024] __attribute__((aligned(16)));
static u32 task_seen[8], task_old_eip;
u32 task_error; /* used from assembly */

void run_return(int vector) __attribute__((noreturn));
void second_entry(void);
void rescue_entry(void);
void task_note(void);

/* The second task: notes what it sees and returns by IRET, for ever. */
__asm__(".text\n.globl second_entry, rescue_entry\n"
        "second_entry: pushal; call task_note; popal; iret; jmp second_entry\n"
        "second_jumped: .globl second_jumped; pushal; call task_note; popal; ljmp $0x28, $0; jmp second_jumped\n"
        /* With an error code: takes it off, steps the interrupted task over its instruction (2 bytes), returns. */
        "second_error: .globl second_error; popl task_error; addl $2, tss + 32; iret; jmp second_error\n"
        "rescue_entry: popl task_error; call rescue; jmp rescue_entry\n");
void second_jumped(void);
void second_error(void);
void rescue(void);

static void set_task(struct tss *task, void (*entry)(void), u8 *stack_top)
{
    u8 *bytes = (u8 *)task;
    u32 i;
    for (i = 0; i < 104; i++)
        bytes[i] = 0;
    task->eip = (word)entry;
    task->eflags = 2;
    task->esp = (word)stack_top;
    task->esp0 = (word)stack_top;
    task->ss0 = SEL_DATA;
    task->cs = SEL_CODE;
    task->ss = task->ds = task->es = SEL_DATA;
    task->eax = 0xa0a0a0a0;
    task->ebx = 0xb0b0b0b0;
    task->esi = 0x51515151;
    task->io_map = sizeof(*task);
}

static u64 descriptor_of(struct tss *task) { return segment((word)task, sizeof(*task) - 1, 0x89, 0); }

/* All tasks as new, and the main one current. */
static void reset_tasks(void)
{
    set_task(&second, second_entry, second_stack + sizeof(second_stack));
    set_task(&rescue_task, rescue_entry, rescue_stack + sizeof(rescue_stack));
    set_task(&bad, second_entry, second_stack + sizeof(second_stack));
    gdt[SEL_TASK / 8] = descriptor_of(&second);
    gdt[SEL_STACK_TASK / 8] = descriptor_of(&rescue_task);
    gdt[SEL_BAD_TASK / 8] = descriptor_of(&bad);
    tss.link = 0;
    tss_reload();
    __asm__ volatile("clts");
}

void prepare_tasks(void)
{
    gdt[SEL_TASK_GATE / 8] = (u64)SEL_TASK << 16 | 0x85ull << 40;
    reset_tasks();
}

static u16 task_register(void)
{
    u16 selector;
    __asm__("str %0" : "=r"(selector));
    return selector;
}

static u32 busy(u16 selector) { return gdt[selector / 8] >> 41 & 1; }

void task_note(void)
{
    u32 *saved = __builtin_frame_address(0); /* EBP, return address, then PUSHAL's eight */
    task_seen[0] = task_register();
    task_seen[1] = read_flags();
    task_seen[2] = read_cr0() & 8;
    task_seen[3] = busy(SEL_TSS) | busy(SEL_TASK) << 1;
    task_seen[4] = saved[2 + 7]; /* EAX */
    task_seen[5] = saved[2 + 4]; /* EBX */
    task_seen[6] = second.link;
}

/* Runs in the rescue task: ends the run() of the task that faulted. */
void rescue(void)
{
    struct tss *from = rescue_task.link == SEL_TSS ? &tss : rescue_task.link == SEL_TASK ? &second : &bad;
    task_old_eip = from->eip;
    run_return(0x100);
}

/* Like expect(), for a vector whose gate leads to the rescue task. */
void check_task_fault(const char *name, void (*code)(void), int vector, word error, word at)
{
    int got;
    gate(vector, 0, SEL_STACK_TASK, 0x85, 0);
    task_error = 0xffffffff;
    got = run(code);
    gate_reset(vector);
    reset_tasks();
    if (!check(name, got == 0x100 && task_error == error && (!at || task_old_eip == at)))
        print("  result %x, error %x, eip %x, expected error %x, eip %x\n", (u64)(u32)got, (u64)task_error, (u64)task_old_eip, (u64)error,
              (u64)at);
}

CODE(task_call, "nop", "lcall $0x130, $0")
CODE(task_jump, "nop", "ljmp $0x130, $0")
CODE(task_call_gate, "nop", "lcall $0x140, $0")
CODE(task_int, "nop", "int $0x43")
CODE(task_fault, "mov $0x1f8, %eax", "mov %eax, %fs")
CODE(task_call_busy, "nop", "lcall $0x28, $0")
CODE(task_call_bad, "nop", "lcall $0x148, $0")
CODE(task_iret, "pushf; orl $0x4000, (%esp); popf", "iret")
CODE(task_call_trap, "nop", "lcall $0x130, $0; nop")
CODE(user_int_bad_stack, "nop", "int $0x41")

static bool trap_bit_hook(struct frame *frame)
{
    if (frame->vector != DB)
        return false;
    task_seen[7] = read_dr6();
    write_dr6(0xffff0ff0);
    return true;
}

void tasks(void)
{
    reset_tasks();
    RUNS(task_call);
    check_value("CALL: task register", task_seen[0], SEL_TASK);
    check("CALL sets NT and the back link", (task_seen[1] & FLAG_NT) && task_seen[6] == SEL_TSS);
    check("a task switch sets CR0.TS", task_seen[2] != 0);
    check_value("CALL: both tasks busy", task_seen[3], 3);
    check("registers come from the TSS", task_seen[4] == 0xa0a0a0a0 && task_seen[5] == 0xb0b0b0b0);
    check_value("IRET: task register", task_register(), SEL_TSS);
    check("IRET: the left task is available, ours busy", !busy(SEL_TASK) && busy(SEL_TSS));
    check("IRET clears NT in the left task", !(second.eflags & FLAG_NT));
    check_value("the left task's EIP is behind its IRET", second.eip, (word)second_entry + 8);
    RUNS(task_call);
    check_value("a second CALL goes on behind the IRET", task_seen[0], SEL_TASK);

    reset_tasks();
    second.eip = (word)second_jumped;
    RUNS(task_jump);
    check_value("JMP: task register", task_seen[0], SEL_TASK);
    check("JMP: no NT", !(task_seen[1] & FLAG_NT));
    check_value("JMP: only the new task is busy", task_seen[3], 2);
    check_value("JMP back: task register", task_register(), SEL_TSS);

    reset_tasks();
    task_seen[0] = 0;
    RUNS(task_call_gate);
    check_value("CALL through a task gate", task_seen[0], SEL_TASK);
    gate(0x43, 0, SEL_TASK, 0x85, 0);
    task_seen[0] = 0;
    RUNS(task_int);
    check_value("INT through a task gate", task_seen[0], SEL_TASK);
    check("... sets NT", (task_seen[1] & FLAG_NT) != 0);
    gate_reset(0x43);

    reset_tasks();
    second.eip = (word)second_error;
    gate(GP, 0, SEL_TASK, 0x85, 0);
    task_error = 0;
    check_value("exception through a task gate resumes", (u32)run(task_fault), (u32)NOTHING);
    check_value("... its error code is on the new stack", task_error, 0x1f8);
    gate_reset(GP);

    reset_tasks();
    second.trap = 1; /* T bit: a debug exception before the new task's first instruction */
    trap_hook = trap_bit_hook;
    task_seen[7] = 0;
    RUNS(task_call_trap);
    trap_hook = NULL;
    check_value("T bit: #DB with BT", task_seen[7] & 0xe00f, 0x8000);

    reset_tasks();
    FAULTS(task_call_busy, GP, SEL_TSS);
    gdt[SEL_BAD_TASK / 8] &= ~(1ull << 47);
    FAULTS(task_call_bad, NP, SEL_BAD_TASK);
    gdt[SEL_BAD_TASK / 8] = segment((word)&bad, 0x66, 0x89, 0);
    FAULTS(task_call_bad, TS, SEL_BAD_TASK);
    gdt[SEL_BAD_TASK / 8] = segment((word)&bad, 0x67, 0x89, 0);
    RUNS(task_call_bad);
    reset_tasks();
    tss.link = SEL_BAD_TASK; /* available, so not to be returned to */
    FAULTS(task_iret, TS, SEL_BAD_TASK);
    tss.link = SEL_DATA;
    FAULTS(task_iret, TS, SEL_DATA);
    tss.link = 0;

    /* Found after the switch: the fault is the new task's, and its stack may be what is wrong. */
    bad.ss = 0x1f8;
    check_task_fault("new task: SS beyond the GDT", task_call_bad, TS, 0x1f8, (word)second_entry);
    bad.ss = SEL_USER_DATA;
    check_task_fault("new task: SS with another privilege", task_call_bad, TS, SEL_USER_DATA & ~3, (word)second_entry);
    bad.cs = SEL_DATA;
    check_task_fault("new task: CS is data", task_call_bad, TS, SEL_DATA, (word)second_entry);
    bad.ldt = SEL_DATA;
    check_task_fault("new task: LDT is data", task_call_bad, TS, SEL_DATA, (word)second_entry);
    bad.ds = 0x1f8;
    check_task_fault("new task: DS beyond the GDT", task_call_bad, TS, 0x1f8, (word)second_entry);

    /* A stack for the inner level that cannot be loaded. */
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 0);
    gate(TS, 0, SEL_STACK_TASK, 0x85, 0);
    trap_hook = NULL;
    {
        static const struct {
            const char *name;
            u16 ss0;
            word error;
        } stacks[] = {
            { "inner stack: null SS", 0, 0 },
            { "inner stack: SS of another privilege", SEL_USER_DATA, SEL_USER_DATA & ~3 },
            { "inner stack: SS is code", SEL_CODE, SEL_CODE },
            { "inner stack: SS beyond the GDT", 0x1f8, 0x1f8 },
        };
        u32 i;
        for (i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
            int got;
            inner_ss = stacks[i].ss0;
            task_error = 0xffffffff;
            got = run_user(user_int_bad_stack);
            reset_tasks();
            tss.ss0 = SEL_DATA;
            if (!check(stacks[i].name, got == 0x100 && task_error == stacks[i].error))
                print("  result %x, error %x, expected %x\n", (u64)(u32)got, (u64)task_error, (u64)stacks[i].error);
        }
    }
    inner_ss = SEL_DATA;
    gate_reset(TS);
    gate_reset(0x41);
    reset_tasks();
}
