#!/bin/sh
# Builds the self-checking guests (guests/checks/*.elf): the same bytes wherever the tree is. Needs gcc (with -m32) and binutils.
# With names as arguments, builds only those.
set -eu
cd "$(dirname "$0")/../.."
dir=guests/checks
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

CFLAGS="-std=gnu11 -O1 -gdwarf-5 -gno-record-gcc-switches -ffile-prefix-map=$PWD=. -ffile-prefix-map=$out=.
 -ffreestanding -fno-builtin -nostdinc -I$dir/runtime -fno-pic -fno-pie -mgeneral-regs-only -fcf-protection=none
 -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-inline -fno-toplevel-reorder
 -fno-optimize-sibling-calls -fno-common -Wall -Wextra -Werror"
BITS64="-m64 -march=x86-64 -mno-red-zone -mcmodel=small"
BITS32="-m32 -march=i686"

# image name bits source...
image() {
    name=$1
    bits=$2
    shift 2
    if [ -n "$wanted" ]; then
        case " $wanted " in *" $name "*) ;; *) return ;; esac
    fi
    if [ "$bits" = 64 ]; then flags="$CFLAGS $BITS64" emulation=elf_x86_64; else flags="$CFLAGS $BITS32" emulation=elf_i386; fi
    objects=
    for source in runtime/boot.S runtime/entry.S runtime/rt.c "$@"; do
        object=$out/$name-$(basename "${source%.*}").o
        # shellcheck disable=SC2086
        ${CC:-gcc} $flags -c "$dir/$source" -o "$object"
        objects="$objects $object"
    done
    # shellcheck disable=SC2086
    ${LD:-ld} -m $emulation -static -nostdlib --build-id=none --no-warn-rwx-segments -z max-page-size=4096 -z noexecstack \
        -T $dir/runtime/image.ld -o "$out/$name.elf" $objects
    cp "$out/$name.elf" "$dir/$name.elf"
    chmod 644 "$dir/$name.elf"
}

wanted=$*
image exceptions 64 exceptions.c
image exceptions32 32 exceptions.c
image paging 64 paging_common.c paging.c
image protection 64 paging_common.c protection.c la57.c
image paging32 32 paging_common.c paging32.c
image segments 32 segments.c tasks.c v86.c
image segments64 64 segments64.c
image apic 64 apic.c apic_timer.c apic_x2.c apic_io.c apic_smp.c
