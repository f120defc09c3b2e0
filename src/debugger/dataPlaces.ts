import { Reg, registerRange } from "../apic/registerMap";
import { UserError } from "../machine/errors";
import type { WatchPlace } from "../machine/watches";
import { hex, hex64, parseAddress } from "./numbers";

/** Kinds of access that a data breakpoint may stop at, as DAP names them. */
export const accessTypes = ["read", "write", "readWrite"] as const;
export type AccessType = (typeof accessTypes)[number];

/** A place that can be watched: memory, ports, registers of the local APIC, MSRs, control registers. CPU -1 stands for any. */
export type DataPlace =
  | { readonly kind: "linear"; readonly address: bigint; readonly size: number }
  | { readonly kind: "physical"; readonly address: number; readonly size: number }
  | { readonly kind: "port"; readonly address: number; readonly size: number }
  | { readonly kind: "apic"; readonly cpu: number; readonly register: string }
  | { readonly kind: "msr"; readonly cpu: number; readonly index: number }
  | { readonly kind: "control"; readonly cpu: number; readonly register: number };

/** Bytes of one range. */
export const mostWatched = 1 << 20;
/** Control registers whose accesses can be seen. */
const controlNumbers = [0, 2, 3, 4, 8];
const physicalLimit = 2 ** 52;

/** Registers that the local APIC changes by itself, as interrupts come and go. */
const changing = ["ISR", "TMR", "IRR", "PPR", "APR", "ESR", "LVT LINT0"];

/** Whether a place changes without a write to it: that is a write, then, to whoever watches it. */
export const changesByItself = (place: DataPlace): boolean => place.kind === "apic" && changing.includes(place.register);

/** The place as the machine watches it. Throws a {@link UserError} for what does not exist. */
export function toWatches(place: DataPlace, access: AccessType): (WatchPlace & { readonly read: boolean; readonly write: boolean })[] {
  const read = access !== "write";
  const write = access !== "read";
  if (place.kind !== "apic") return [{ ...place, read, write }];
  const { cpu, register } = place;
  const range = registerRange(register);
  if (range === undefined) throw new UserError(`The local APIC has no register '${register}'.`, "name");
  const own = { kind: "apic", cpu, ...range } as const;
  // The priorities follow from TPR.
  if (register === "PPR" || register === "APR")
    return [
      { ...own, read, write: false },
      { ...own, first: Reg.tpr, last: Reg.tpr, read: false, write },
    ];
  return [{ ...own, read, write }];
}

/** The place as text that {@link parsePlace} takes back: what a client keeps as `dataId`. */
export function formatPlace(place: DataPlace): string {
  switch (place.kind) {
    case "linear":
    case "physical":
    case "port":
      return `${place.kind}:${hex(place.address)}:${place.size}`;
    case "apic":
      return `apic:${place.cpu}:${place.register}`;
    case "msr":
      return `msr:${place.cpu}:${hex(place.index)}`;
    case "control":
      return `control:${place.cpu}:${place.register}`;
  }
}

/** Takes a `dataId` apart and checks it against a machine of so many CPUs. Throws a {@link UserError} for what is none. */
export function parsePlace(id: string, cpus: number): DataPlace {
  const wrong = (): UserError => new UserError(`"${id}" is no data id; dataBreakpointInfo gives them.`, "dataId");
  const [kind, first, second, ...rest] = id.split(":");
  if ((second as string | undefined) === undefined || rest.length > 0) throw wrong();
  if (kind === "linear" || kind === "physical" || kind === "port") {
    const size = /^\d{1,9}$/.test(second) ? Number(second) : 0;
    return checkRange(kind, parseAddress(first, "dataId"), size);
  }
  if (!/^(-1|\d{1,2})$/.test(first) || Number(first) >= cpus) throw wrong();
  const cpu = Number(first);
  switch (kind) {
    case "apic": {
      const place: DataPlace = { kind, cpu, register: second };
      toWatches(place, "read");
      return place;
    }
    case "msr": {
      const index = parseAddress(second, "dataId");
      if (index > 0xffff_ffffn) throw wrong();
      return { kind, cpu, index: Number(index) };
    }
    case "control":
      if (!controlNumbers.includes(Number(second))) throw wrong();
      return { kind, cpu, register: Number(second) };
    default:
      throw wrong();
  }
}

/** A range of memory or ports. Throws a {@link UserError} for one that does not exist or is too long. */
export function checkRange(kind: "linear" | "physical" | "port", address: bigint, size: number): DataPlace {
  if (size < 1 || size > mostWatched) throw new UserError(`A range has 1 to ${mostWatched} bytes, not ${size}.`, "bytes");
  const limit = kind === "linear" ? 1n << 64n : kind === "physical" ? BigInt(physicalLimit) : 0x1_0000n;
  if (address + BigInt(size) > limit)
    throw new UserError(`${size} bytes at ${hex(address)} go past the end of the ${kind} addresses.`, "bytes");
  return kind === "linear" ? { kind, address, size } : { kind, address: Number(address), size };
}

/** What accesses to a place can be seen. */
export function accessesOf(place: DataPlace): readonly AccessType[] {
  if (place.kind !== "apic") return accessTypes;
  switch (place.register) {
    case "EOI":
    case "SELF IPI":
      return ["write"];
    case "TMCCT":
    case "VER":
      return ["read"];
    default:
      return accessTypes;
  }
}

/** The place in words: "4 bytes at 0x...", "lapic.tpr of CPU 1". */
export function placeText(place: DataPlace): string {
  const of = (cpu: number): string => (cpu < 0 ? "any CPU" : `CPU ${cpu}`);
  const bytes = (size: number): string => (size === 1 ? "1 byte" : `${size} bytes`);
  switch (place.kind) {
    case "linear":
      return `${bytes(place.size)} at ${hex64(place.address)}`;
    case "physical":
      return `${bytes(place.size)} at physical ${hex(place.address, 8)}`;
    case "port":
      return place.size === 1
        ? `port ${hex(place.address, 4)}`
        : `ports ${hex(place.address, 4)} to ${hex(place.address + place.size - 1, 4)}`;
    case "apic":
      return `${place.register} of the local APIC of ${of(place.cpu)}`;
    case "msr":
      return `MSR ${hex(place.index)} of ${of(place.cpu)}`;
    case "control":
      return `CR${place.register} of ${of(place.cpu)}`;
  }
}
