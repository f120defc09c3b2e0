#!/bin/sh
# Builds guests/smp/smp.elf: the same bytes wherever the tree is. Needs gcc and binutils for x86-64.
set -eu
cd "$(dirname "$0")/../.."
dir=guests/smp
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# Functions stay functions and frames stay frames, for those who step through this in a debugger.
CFLAGS="-std=gnu11 -m64 -march=x86-64 -O1 -gdwarf-5 -gno-record-gcc-switches -ffile-prefix-map=$PWD=. -ffile-prefix-map=$out=.
 -ffreestanding -fno-builtin -nostdinc -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small -fcf-protection=none
 -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-inline
 -fno-optimize-sibling-calls -fno-common -Wall -Wextra -Werror"

objects=
for source in boot.S trampoline.S idt_entry.S main.c bootinfo.c acpi.c percpu.c idt.c apic.c ioapic.c pic.c pci.c time.c smp.c serial.c tests.c; do
    object=$out/${source%.*}.o
    # shellcheck disable=SC2086
    ${CC:-gcc} $CFLAGS -c "$dir/$source" -o "$object"
    objects="$objects $object"
done
# shellcheck disable=SC2086
${LD:-ld} -m elf_x86_64 -static -nostdlib --build-id=none --no-warn-rwx-segments -z max-page-size=4096 -z noexecstack -T "$dir/smp.ld" -o "$out/smp.elf" $objects
cp "$out/smp.elf" "$dir/smp.elf"
chmod 644 "$dir/smp.elf"
