#!/bin/sh
# Records ../data/simd.bin.gz anew from the CPU of this machine, which must have SSSE3 and the packed integers of SSE4.2.
set -eu
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O1 -Wall -Wextra -o "$work/native" "$here/native.c"
npx esbuild "$here/main.ts" --bundle --platform=node --outfile="$work/main.cjs" --log-level=error
node "$work/main.cjs" "$work/native" "$here/../data/simd.bin.gz"
