#!/bin/sh
# Puts the kernels of Debian's packages linux-image-cloud-amd64 and linux-image-amd64 into out/kernels, without installing them. Needs apt-get and dpkg-deb.
set -eu
cd "$(dirname "$0")/.."
mkdir -p out/kernels
for flavour in cloud-amd64 amd64; do
  package=$(apt-cache depends "linux-image-$flavour" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
  [ -n "$package" ] || { echo "There is no package linux-image-$flavour: run apt-get update." >&2; exit 1; }
  [ -e "out/kernels/vmlinuz-$flavour" ] && continue
  folder=$(mktemp -d)
  (cd "$folder" && apt-get download "$package")
  dpkg-deb -x "$folder"/*.deb "$folder/files"
  cp "$folder"/files/boot/vmlinuz-* "out/kernels/vmlinuz-$flavour"
  rm -rf "$folder"
done
ls -l out/kernels
