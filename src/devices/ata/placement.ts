import { UserError } from "../../common/errors";
import type { Disk } from "../block/disk";
import type { DiskInterface } from "../block/image";
import type { IdeSlot } from "./ideChannel";

/** Drives of the two channels. */
const IDE_DRIVES = 4;
/** Where the CD-ROM drive goes if it can: secondary master, as PCs have it. */
const CDROM_SLOT = 2;

/**
 * Which drive is where: disks in order from primary master on, the CD-ROM as secondary master.
 * @throws UserError when there are more than four.
 */
export function placeIdeDrives(
  disks: readonly { readonly disk: Disk; readonly interface: DiskInterface }[],
  cdrom: Disk | undefined,
): (IdeSlot | undefined)[] {
  const slots: (IdeSlot | undefined)[] = Array.from({ length: IDE_DRIVES }, () => undefined);
  if (cdrom !== undefined) slots[CDROM_SLOT] = { disk: cdrom, cdrom: true };
  for (const { disk, interface: kind } of disks) {
    if (kind !== "ide") continue;
    const free = slots.indexOf(undefined);
    if (free < 0) {
      throw new UserError(
        `There is no IDE drive left for ${disk.fileName}: the two channels have ${IDE_DRIVES}, CD-ROM included; use ahci for more.`,
        "disks",
      );
    }
    slots[free] = { disk, cdrom: false };
  }
  return slots;
}
