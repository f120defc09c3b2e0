#!/bin/sh
# Records x87 vectors on this processor into ../data/x87.bin.gz. Needs gcc and an x86-64 host.
set -eu
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
gcc -O1 -Wall -Wextra -o "$build/recorder" native.c
npx tsx main.ts "$build/recorder" ../data/x87.bin.gz
