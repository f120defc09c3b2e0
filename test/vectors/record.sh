#!/bin/sh
# Builds the native runner and records instruction vectors on this machine's CPU (Linux, x86-64, gcc):
#   test/vectors/record.sh --inputs 5000 --out out/vectors     thousands of inputs a form, for a long run
#   test/vectors/record.sh --out test/vectors/data             the committed sample
#   test/vectors/record.sh --verify test/vectors/data/*.gz     runs recorded files on this CPU again
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$root/out"
runner=$root/out/vector-runner
if [ ! -x "$runner" ] || [ "$root/test/vectors/recorder/native.c" -nt "$runner" ]; then
  ${CC:-gcc} -O1 -Wall -Wextra -Werror -fno-stack-protector -fcf-protection=none -o "$runner" "$root/test/vectors/recorder/native.c"
fi
exec node --import tsx "$root/test/vectors/recorder/main.ts" --runner "$runner" "$@"
