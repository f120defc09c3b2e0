#!/bin/sh
# Builds the benchmark guests bench32.elf and bench64.elf: the same bytes wherever the tree is. Needs gcc (with -m32), binutils and Node.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
node wide.mjs >"$out/wide.c"

COMMON="-std=gnu11 -ffreestanding -fno-builtin -fno-pic -fno-pie -fcf-protection=none -fno-stack-protector -fno-asynchronous-unwind-tables
 -fno-unwind-tables -fno-common -fno-tree-loop-distribute-patterns -fno-strict-aliasing -Wall -Wextra -Werror -I."

for bits in 32 64; do
    if [ $bits = 64 ]; then flags="-m64 -march=x86-64 -mno-red-zone -mcmodel=small" emulation=elf_x86_64; else flags="-m32 -march=i686" emulation=elf_i386; fi
    objects=
    for source in boot.S rings_entry.S main.c runtime.c integer.c memory.c interrupts.c rings.c code.c string.c x87.c sse.c "$out/wide.c"; do
        case $source in
        *x87.c) unit="-O2 -mfpmath=387" ; [ $bits = 32 ] || unit="$unit -mno-sse" ;;
        *sse.c) unit="-O2 -msse2 -mfpmath=sse -ffp-contract=off" ;;
        *wide.c) unit="-Os -mgeneral-regs-only" ;;
        *) unit="-O2 -mgeneral-regs-only" ;;
        esac
        object=$out/$(basename "${source%.*}")$bits.o
        # shellcheck disable=SC2086
        ${CC:-gcc} $COMMON $flags $unit -c "$source" -o "$object"
        objects="$objects $object"
    done
    # shellcheck disable=SC2086
    ${LD:-ld} -m $emulation -static -nostdlib --build-id=none --no-warn-rwx-segments -z max-page-size=4096 -z noexecstack -s \
        -T bench.ld -o "$out/bench$bits.elf" $objects
    # Multiboot loaders take 32-bit ELF files only: the container changes, the code in it does not.
    [ $bits = 32 ] || ${OBJCOPY:-objcopy} -I elf64-x86-64 -O elf32-i386 "$out/bench64.elf" "$out/bench64.elf"
    cp "$out/bench$bits.elf" .
    chmod 644 "bench$bits.elf"
done
