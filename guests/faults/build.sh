#!/bin/sh
# Builds guests/faults/faults.elf from faults.c and the kernel of guests/smp: the same bytes wherever the tree is. Needs gcc and binutils for x86-64.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

CFLAGS="-std=gnu11 -m64 -march=x86-64 -O1 -gdwarf-5 -gno-record-gcc-switches -ffile-prefix-map=$PWD=. -ffile-prefix-map=$out=.
 -ffreestanding -fno-builtin -nostdinc -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small -fcf-protection=none
 -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-inline
 -fno-optimize-sibling-calls -fno-common -Wall -Wextra -Werror -Iguests/smp"

objects=
for source in smp/boot.S smp/trampoline.S smp/idt_entry.S faults/faults.c smp/bootinfo.c smp/acpi.c smp/percpu.c smp/idt.c smp/apic.c smp/ioapic.c smp/pic.c \
    smp/pci.c smp/time.c smp/smp.c smp/serial.c; do
    object=$out/$(basename "${source%.*}").o
    # shellcheck disable=SC2086
    ${CC:-gcc} $CFLAGS -c "guests/$source" -o "$object"
    objects="$objects $object"
done
# shellcheck disable=SC2086
${LD:-ld} -m elf_x86_64 -static -nostdlib --build-id=none --no-warn-rwx-segments -z max-page-size=4096 -z noexecstack -T guests/smp/smp.ld -o "$out/faults.elf" $objects
cp "$out/faults.elf" guests/faults/faults.elf
chmod 644 guests/faults/faults.elf
