import { AR_CODE, AR_S, AR_WRITABLE } from "../segmentRegisters";
import type { SystemContext } from "./context";
import { type Descriptor, isSystem, typeOf } from "./descriptors";
import type { Segments } from "./segments";

/** System descriptor types that LAR and LSL accept, outside and inside long mode (SDM vol. 2, "LAR", "LSL"). */
const larLegacy = new Set([1, 2, 3, 4, 5, 9, 11, 12]);
const larLong = new Set([2, 9, 11, 12]);
const lslLegacy = new Set([1, 2, 3, 9, 11]);
const lslLong = new Set([2, 9, 11]);

/** LAR, LSL, VERR, VERW: look at a descriptor without loading it. Each sets ZF; false: a fault is recorded. */
export class SelectorChecks {
  constructor(
    private readonly c: SystemContext,
    private readonly segments: Segments,
  ) {}

  lar(selector: number, destination: number, size: number): boolean {
    return this.look(selector, this.c.state.longMode ? larLong : larLegacy, (descriptor) => {
      const rights = BigInt(descriptor.high & 0x00f0ff00);
      this.assign(destination, size === 2 ? rights & 0xffffn : rights, size);
    });
  }

  lsl(selector: number, destination: number, size: number): boolean {
    return this.look(selector, this.c.state.longMode ? lslLong : lslLegacy, (descriptor) => {
      this.assign(destination, BigInt(descriptor.limit >>> 0), size);
    });
  }

  verify(selector: number, write: boolean): boolean {
    const { state } = this.c;
    const descriptor = this.segments.probe(selector);
    if (descriptor === "fault") return false;
    let fits = descriptor !== undefined && !isSystem(descriptor.access) && this.segments.visible(descriptor);
    if (fits && descriptor !== undefined) {
      const { access } = descriptor;
      const code = (access & AR_CODE) !== 0;
      const readable = !code || (access & AR_WRITABLE) !== 0;
      const writable = !code && (access & AR_WRITABLE) !== 0;
      fits = write ? writable : readable;
    }
    state.setZeroFlag(fits);
    return true;
  }

  private look(selector: number, systemTypes: ReadonlySet<number>, found: (descriptor: Descriptor) => void): boolean {
    const { state } = this.c;
    const descriptor = this.segments.probe(selector);
    if (descriptor === "fault") return false;
    const fits =
      descriptor !== undefined &&
      ((descriptor.access & AR_S) !== 0 || systemTypes.has(typeOf(descriptor.access))) &&
      this.segments.visible(descriptor);
    if (fits) found(descriptor);
    state.setZeroFlag(fits);
    return true;
  }

  private assign(slot: number, value: bigint, size: number): void {
    const { slots } = this.c.state;
    slots[slot / 8] = size === 2 ? (slots[slot / 8] & ~0xffffn & 0xffff_ffff_ffff_ffffn) | (value & 0xffffn) : value;
  }
}
