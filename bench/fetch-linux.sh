#!/bin/sh
# Puts the kernel of Debian's package linux-image-cloud-amd64 into out/bench, for machines where it is not installed. Needs apt-get and dpkg-deb.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
(cd "$out" && apt-get download "$package")
dpkg-deb -x "$out"/*.deb "$out/x"
mkdir -p out/bench
cp "$out"/x/boot/vmlinuz-*-cloud-amd64 out/bench/
ls out/bench/vmlinuz-*
