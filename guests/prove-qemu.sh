#!/bin/sh
# Runs every guest in QEMU and compares what fails with checks/known-qemu.txt (image, tab, check): where QEMU departs
# from the manual. QEMU's clock counts instructions here, so that a run does not depend on the host. Says what is new on either
# side; exit status 1 if anything is. Needs qemu-system-x86_64 (written for 7.2).
# With --update, writes the list anew.
set -u
cd "$(dirname "$0")"
known=checks/known-qemu.txt
found=$(mktemp)
plain=$(mktemp)
trap 'rm -f "$found" "$plain"' EXIT
status=0

qemu() { # image arguments...
    image=$1
    shift
    timeout 120 qemu-system-x86_64 -kernel "$image" -cpu max -serial stdio -display none -no-reboot \
        -icount shift=0,sleep=off -device isa-debug-exit,iobase=0xf4,iosize=4 -device pc-testdev -device edu "$@" 2>/dev/null | tr -d '\r'
}

for cpus in 1 2 4 8; do
    qemu smp/smp.elf -smp $cpus -append testdev >"$plain"
    grep -q '^PASS$' "$plain" || { echo "smp, $cpus CPUs:"; grep '^FAIL' "$plain" || echo "no verdict"; status=1; }
done
qemu smp/smp.elf -smp 4,sockets=4 -append mptable | grep -q '^PASS$' || { echo "smp, MP table: failed"; status=1; }
# The same image by its PVH entry: without the Multiboot magic QEMU looks for the ELF note.
sed 's/\x02\xb0\xad\x1b/\x00\x00\x00\x00/' smp/smp.elf >"$plain.elf"
qemu "$plain.elf" -smp 4 | grep -q '^PASS$' || { echo "smp, PVH: failed"; status=1; }
rm -f "$plain.elf"

for image in checks/*.elf; do
    name=$(basename "$image" .elf)
    qemu "$image" -smp 4 -append "gentle testdev" >"$plain"
    grep -qE '^(PASS|FAIL [0-9]+)$' "$plain" || { echo "$name: no verdict"; status=1; }
    # Only the check's name: what follows a colon and a value differs from build to build.
    grep -E '^FAIL: ' "$plain" | sed -E 's/^FAIL: //; s/: (0x[0-9a-f]+, expected .*|vector [0-9]+ error .*|no trap, expected .*)$//' |
        sed "s/^/$name	/" >>"$found"
done
sort -u "$found" -o "$found"
if [ "${1:-}" = --update ]; then
    cp "$found" "$known"
else
    new=$(comm -23 "$found" "$known")
    gone=$(comm -13 "$found" "$known")
    [ -z "$new" ] || { echo "fails, not in the list:"; echo "$new"; status=1; }
    [ -z "$gone" ] || { echo "in the list, passes:"; echo "$gone"; status=1; }
fi
[ $status -ne 0 ] || echo "as expected"
exit $status
