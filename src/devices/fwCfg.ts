import { assert } from "../common/errors";
import type { State } from "../common/state";
import { FW_CFG_DMA_PORT, FW_CFG_PORT } from "./board";
import type { Device, DeviceContext, RegisterView } from "./device";
import { StateReader } from "./stateReader";

export const FW_CFG_SIGNATURE = 0x0000;
export const FW_CFG_ID = 0x0001;
export const FW_CFG_RAM_SIZE = 0x0003;
export const FW_CFG_CPU_COUNT = 0x0005;
export const FW_CFG_MAX_CPUS = 0x000f;
export const FW_CFG_FILE_DIR = 0x0019;
const FILE_FIRST = 0x0020;
const FILE_LIMIT = 0x1000;
const NAME_LENGTH = 56;

const DMA_ERROR = 0x01;
const DMA_READ = 0x02;
const DMA_SKIP = 0x04;
const DMA_SELECT = 0x08;
const DMA_WRITE = 0x10;
/** Reading past an item's end gives zeros; a single transfer may ask for this many at most. */
const ZERO_LIMIT = 16 << 20;
const CHUNK = 0x10000;
/** Physical addresses are 52 bits wide at most. */
const ADDRESS_LIMIT = 2 ** 52;

/**
 * The firmware configuration device (selector 0x510, data 0x511, DMA 0x514): numbered items and a directory of named files,
 * which guests and firmware read. Items belong to the configuration; only the position in them is guest state.
 */
export class FwCfg implements Device {
  readonly name = "fwcfg";
  private readonly items = new Map<number, Uint8Array>();
  private readonly files: { readonly name: string; readonly key: number; readonly size: number }[] = [];
  private key = 0;
  private offset = 0;
  private dmaHigh = 0;

  constructor(private readonly context: DeviceContext) {
    this.addItem(FW_CFG_SIGNATURE, new TextEncoder().encode("QEMU"));
    // Bit 0: the traditional interface, bit 1: DMA.
    this.addNumber(FW_CFG_ID, 3, 4);
    this.writeDirectory();
    context.mapPorts("fwcfg", FW_CFG_PORT, 2, {
      read: (port, size) => (port === FW_CFG_PORT ? 0 : this.next(size)),
      write: (port, size, value) => {
        if (port === FW_CFG_PORT && size === 2) this.select(value);
      },
    });
    context.mapPorts("fwcfg.dma", FW_CFG_DMA_PORT, 8, {
      // The register reads as the interface's signature, "QEMU CFG", in big-endian order.
      read: (port, size) => {
        const text = "QEMU CFG";
        let value = 0;
        for (let byte = 0; byte < size; byte++) value |= text.charCodeAt(port - FW_CFG_DMA_PORT + byte) << (byte * 8);
        return value >>> 0;
      },
      write: (port, size, value) => {
        if (size !== 4) return;
        const swapped = ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
        if (port === FW_CFG_DMA_PORT) {
          this.dmaHigh = swapped;
        } else if (port === FW_CFG_DMA_PORT + 4) {
          const address = this.dmaHigh * 2 ** 32 + swapped;
          this.dmaHigh = 0;
          this.transfer(address);
        }
      },
    });
  }

  /** Sets the bytes of numbered item `key`. */
  addItem(key: number, bytes: Uint8Array): void {
    this.items.set(key, bytes);
  }

  /** Sets an item to a little-endian number of `size` bytes. */
  addNumber(key: number, value: number, size: 2 | 4 | 8): void {
    this.addItem(
      key,
      Uint8Array.from({ length: size }, (_, byte) => Math.floor(value / 2 ** (byte * 8)) & 0xff),
    );
  }

  /** Adds a named file, such as "etc/acpi/tables" or "opt/name". Returns its selector. */
  addFile(name: string, bytes: Uint8Array): number {
    assert(name.length > 0 && name.length < NAME_LENGTH && !this.files.some((file) => file.name === name), `fw_cfg file name ${name}`);
    const key = FILE_FIRST + this.files.length;
    assert(key < FILE_LIMIT, "too many fw_cfg files");
    this.files.push({ name, key, size: bytes.length });
    this.addItem(key, bytes);
    this.writeDirectory();
    return key;
  }

  private writeDirectory(): void {
    const bytes = new Uint8Array(4 + this.files.length * 64);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.files.length);
    const sorted = this.files.slice().sort((a, b) => (a.name < b.name ? -1 : 1));
    sorted.forEach((file, index) => {
      const at = 4 + index * 64;
      view.setUint32(at, file.size);
      view.setUint16(at + 4, file.key);
      bytes.set(new TextEncoder().encode(file.name).subarray(0, NAME_LENGTH - 1), at + 8);
    });
    this.addItem(FW_CFG_FILE_DIR, bytes);
  }

  private select(key: number): void {
    this.key = key & 0xffff;
    this.offset = 0;
  }

  private next(size: number): number {
    const item = this.items.get(this.key);
    let value = 0;
    for (let byte = 0; byte < size; byte++) {
      // Past its end an item reads as zeros, and the position stays.
      if (item !== undefined && this.offset < item.length) value |= item[this.offset++] << (byte * 8);
    }
    return value >>> 0;
  }

  /** Carries out the DMA request at `address`: big-endian control, length, address. The control field is written back. */
  private transfer(address: number): void {
    if (address > ADDRESS_LIMIT - 16) return;
    const memory = this.context.memory;
    const request = memory.read(address, 16);
    const view = new DataView(request.buffer, request.byteOffset, 16);
    const control = view.getUint32(0);
    const length = view.getUint32(4);
    const target = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
    if (control & DMA_SELECT) this.select(control >>> 16);
    const item = this.items.get(this.key) ?? new Uint8Array(0);
    const available = Math.min(length, item.length - this.offset);
    let error = false;
    if (control & DMA_READ) {
      const zeros = length - available;
      if (zeros > ZERO_LIMIT || target > ADDRESS_LIMIT - length) {
        error = true;
      } else {
        memory.write(target, item.subarray(this.offset, this.offset + available));
        for (let done = 0; done < zeros; done += CHUNK) {
          memory.write(target + available + done, new Uint8Array(Math.min(CHUNK, zeros - done)));
        }
        this.offset += available;
      }
    } else if (control & DMA_WRITE) {
      // Every item is read-only.
      error = true;
    } else if (control & DMA_SKIP) {
      this.offset += available;
    }
    memory.write(address, Uint8Array.of(0, 0, 0, error ? DMA_ERROR : 0));
  }

  reset(): void {
    this.select(0);
    this.dmaHigh = 0;
  }

  save(): State {
    return { key: this.key, offset: this.offset, dmaHigh: this.dmaHigh };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.key = reader.number("key");
    this.offset = reader.number("offset");
    this.dmaHigh = reader.number("dmaHigh");
  }

  registers(): readonly RegisterView[] {
    const file = this.files.find((candidate) => candidate.key === this.key);
    return [
      { name: "selector", value: BigInt(this.key), bits: 16, ...(file === undefined ? {} : { text: file.name }) },
      { name: "offset", value: BigInt(this.offset), bits: 32 },
    ];
  }
}
