#!/bin/sh
# Records ../data/xsave.bin.gz anew from the CPU of this machine, which must have AVX, XSAVEOPT and XSAVEC.
set -eu
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O1 -Wall -Wextra -mavx -o "$work/native" "$here/native.c"
npx esbuild "$here/main.ts" --bundle --platform=node --outfile="$work/main.cjs" --log-level=error
node "$work/main.cjs" "$work/native" "$here/../data/xsave.bin.gz"
