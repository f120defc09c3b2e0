#!/bin/sh
# Puts the kernels of Debian's packages linux-image-cloud-amd64 and linux-image-amd64 into out/kernels, without installing them, and beside each the modules that drive the
# board's disks, display and mouse. Needs apt-get and dpkg-deb.
set -eu
cd "$(dirname "$0")/.."
mkdir -p out/kernels
modules="scsi_common scsi_mod crct10dif_common crc-t10dif crc64 crc64-rocksoft t10-pi sd_mod cdrom sr_mod libata ata_piix libahci ahci psmouse drm drm_kms_helper ttm
  drm_ttm_helper drm_vram_helper bochs"
for flavour in cloud-amd64 amd64; do
  package=$(apt-cache depends "linux-image-$flavour" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
  [ -n "$package" ] || { echo "There is no package linux-image-$flavour: run apt-get update." >&2; exit 1; }
  [ -e "out/kernels/vmlinuz-$flavour" ] && [ -d "out/kernels/modules-$flavour" ] && continue
  folder=$(mktemp -d)
  (cd "$folder" && apt-get download "$package")
  dpkg-deb -x "$folder"/*.deb "$folder/files"
  mkdir -p "out/kernels/modules-$flavour"
  for module in $modules; do
    find "$folder/files" -name "$module.ko*" -exec cp {} "out/kernels/modules-$flavour/" \;
  done
  find "out/kernels/modules-$flavour" -name "*.xz" -exec xz -d {} \;
  cp "$folder"/files/boot/vmlinuz-* "out/kernels/vmlinuz-$flavour"
  rm -rf "$folder"
done
ls -l out/kernels
