import type { State } from "../common/state";
import type { MessageView, RegisterView } from "./device";
import { StateReader } from "./stateReader";

/** Bytes of a table entry: message address (64 bits), message data, vector control. */
const ENTRY = 16;
/** Vector control: the entry is masked. Set after reset. */
const MASKED = 1;
/** Where the pending bits start in the BAR. */
export const MSIX_PBA_OFFSET = 0x800;
/** Size of a BAR that holds table and pending bits of up to 128 vectors. */
export const MSIX_BAR_BYTES = 0x1000;
export const MSIX_MAX_VECTORS = MSIX_PBA_OFFSET / ENTRY;

/**
 * Table and pending bits of an MSI-X capability (PCI Local Bus Specification 3.0, 6.8.2), in a BAR of their own: the table at its start, the
 * pending bits at {@link MSIX_PBA_OFFSET}. Whether messages go out is the capability's: it is told by `send`.
 */
export class MsixTable {
  private readonly table: Uint8Array;
  private readonly view: DataView;
  private readonly pending: Uint8Array;

  /**
   * @param vectors 1 to 128
   * @param send writes a message that may go out now; false if the function may not write to memory
   * @param blocked whether the function is masked or MSI-X off
   */
  constructor(
    readonly vectors: number,
    private readonly send: (address: number, data: number) => boolean,
    private readonly blocked: () => boolean,
  ) {
    this.table = new Uint8Array(vectors * ENTRY);
    this.view = new DataView(this.table.buffer);
    this.pending = new Uint8Array(Math.ceil(vectors / 64) * 8);
    this.reset();
  }

  reset(): void {
    this.table.fill(0);
    this.pending.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) this.table[vector * ENTRY + 12] = MASKED;
  }

  /** Guest read in the BAR. What is neither table nor pending bits reads as zero. */
  read(offset: number, size: number): bigint {
    let value = 0n;
    for (let byte = size - 1; byte >= 0; byte--) {
      const at = offset + byte;
      const from = at < MSIX_PBA_OFFSET ? this.table[at] : this.pending[at - MSIX_PBA_OFFSET];
      value = (value << 8n) | BigInt(from ?? 0);
    }
    return value;
  }

  /** Guest write in the BAR. Pending bits are read-only; of vector control only the mask bit can be written. */
  write(offset: number, size: number, value: bigint): void {
    for (let byte = 0; byte < size; byte++) {
      const at = offset + byte;
      if (at >= this.table.length) break;
      const bits = Number((value >> BigInt(byte * 8)) & 0xffn);
      const field = at % ENTRY;
      this.table[at] = field < 12 ? bits : field === 12 ? bits & MASKED : 0;
    }
    const last = Math.min(this.vectors - 1, Math.floor((offset + size - 1) / ENTRY));
    for (let vector = Math.floor(offset / ENTRY); vector <= last; vector++) this.flush(vector);
  }

  /** Sends message `vector`, or keeps it pending while it or the function is masked. True if it was sent. */
  raise(vector: number): boolean {
    if (this.blocked() || this.table[vector * ENTRY + 12] & MASKED) {
      this.pending[vector >> 3] |= 1 << (vector & 7);
      return false;
    }
    const at = vector * ENTRY;
    const address = this.view.getUint32(at + 4, true) * 2 ** 32 + ((this.view.getUint32(at, true) & ~3) >>> 0);
    return this.send(address, this.view.getUint32(at + 8, true));
  }

  /** The function mask or the enable bit changed. */
  changed(): void {
    for (let vector = 0; vector < this.vectors; vector++) this.flush(vector);
  }

  private flush(vector: number): void {
    const bit = 1 << (vector & 7);
    if (!(this.pending[vector >> 3] & bit) || this.blocked() || this.table[vector * ENTRY + 12] & MASKED) return;
    this.pending[vector >> 3] &= ~bit;
    this.raise(vector);
  }

  save(): State {
    return { table: this.table.slice(), pending: this.pending.slice() };
  }

  restore(state: State, owner: string): void {
    const reader = new StateReader(state, `${owner}.msix`);
    this.table.set(reader.bytes("table", this.table.length));
    this.pending.set(reader.bytes("pending", this.pending.length));
  }

  /** The entries that the guest has given an address. */
  messages(): readonly MessageView[] {
    const views: MessageView[] = [];
    for (let vector = 0; vector < this.vectors; vector++) {
      const at = vector * ENTRY;
      const address = this.view.getUint32(at + 4, true) * 2 ** 32 + ((this.view.getUint32(at, true) & ~3) >>> 0);
      if (address === 0) continue;
      const data = this.view.getUint32(at + 8, true);
      const masked = this.blocked() || (this.table[at + 12] & MASKED) !== 0;
      views.push({ name: `MSI-X ${vector}`, address, data, masked, pending: (this.pending[vector >> 3] & (1 << (vector & 7))) !== 0 });
    }
    return views;
  }

  registers(): readonly RegisterView[] {
    return Array.from({ length: this.vectors }, (_, vector) => {
      const at = vector * ENTRY;
      const address = this.view.getBigUint64(at, true);
      const data = this.view.getUint32(at + 8, true);
      const masked = (this.table[at + 12] & MASKED) !== 0;
      const pending = (this.pending[vector >> 3] & (1 << (vector & 7))) !== 0;
      return {
        name: `MSI-X ${vector}`,
        value: address,
        bits: 64,
        text: `data 0x${data.toString(16)}${masked ? ", masked" : ""}${pending ? ", pending" : ""}`,
      };
    });
  }
}
