#!/bin/sh
# Records ../data anew from the CPU of this machine, which must have AVX2, FMA and F16C.
#   record.sh                          the committed sample
#   record.sh --compare COUNT [SEED [PATTERN]]  runs COUNT cases of each VEX form here and on the emulator, and writes nothing
set -eu
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O1 -Wall -Wextra -o "$work/native" "$here/native.c"
cc -O1 -Wall -Wextra -mavx -o "$work/vexNative" "$here/vexNative.c"
bundle() {
  npx esbuild "$here/$1.ts" --bundle --platform=node --outfile="$work/$1.cjs" --log-level=error
}
if [ "${1:-}" = --compare ]; then
  shift
  cd "$here/../../../.."
  node --import tsx "$here/vexCompare.ts" "$work/vexNative" "$@"
else
  bundle main
  bundle vexMain
  node "$work/main.cjs" "$work/native" "$here/../data/simd.bin.gz"
  node "$work/vexMain.cjs" "$work/vexNative" "$here/../data/vex.bin.gz"
fi
