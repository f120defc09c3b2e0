#!/bin/sh
# Builds every guest: guests/smp/smp.elf and guests/checks/*.elf. Needs gcc (with -m32) and binutils for x86.
set -eu
here=$(dirname "$0")
"$here/smp/build.sh"
"$here/checks/build.sh"
"$here/faults/build.sh"
