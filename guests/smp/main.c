/* The boot CPU's way through. */
#include "apic.h"

void main(void)
{
    u32 failures;

    serial_init();
    bootinfo_parse();
    find_cpus();
    percpu_init(0);
    idt_init();
    pic_init();
    apic_choose_mode();
    apic_enable();
    cpus[0].online = 1;
    info("CPU 0 (APIC id %u) up, %s mode, APIC version %x\n", apic_id(), x2apic ? "x2APIC" : "xAPIC", (u64)(apic_read(APIC_VERSION) & 0xff));
    ioapic_init();
    calibrate();
    interrupts_on();

    failures = run_tests();
    if (failures)
        print("FAIL %u\n", failures);
    else
        print("PASS\n");
    if (option("loop"))
        run_loop();
    machine_exit(failures ? 1 : 0);
}
