/** The Bochs display interface (VBE DISPI): index and data registers by which drivers set linear frame buffer modes. */
import type { State } from "../../common/state";
import type { StateReader } from "../stateReader";
import type { PlanarFrame } from "./picture";

export const DISPI_ID = 0;
export const DISPI_XRES = 1;
export const DISPI_YRES = 2;
export const DISPI_BPP = 3;
export const DISPI_ENABLE = 4;
export const DISPI_BANK = 5;
export const DISPI_VIRTUAL_WIDTH = 6;
export const DISPI_VIRTUAL_HEIGHT = 7;
export const DISPI_X_OFFSET = 8;
export const DISPI_Y_OFFSET = 9;
export const DISPI_MEMORY_64K = 10;
const REGISTERS = 11;

/** Version 5: linear frame buffer, 8-bit palette, memory size readable. */
const VERSION_FIRST = 0xb0c0;
const VERSION_LAST = 0xb0c5;
const ENABLED = 0x01;
const GET_CAPABILITIES = 0x02;
const KEEP_MEMORY = 0x80;
const ENABLE_KEPT = ENABLED | GET_CAPABILITIES | 0x20 | 0x40 | KEEP_MEMORY;

export const MAX_WIDTH = 2560;
export const MAX_HEIGHT = 1600;
const MAX_BPP = 32;
export type Depth = 8 | 15 | 16 | 24 | 32;
const DEPTHS: readonly number[] = [8, 15, 16, 24, 32];
/** Pixels in the VGA's planes, a bit in each. */
const PLANAR = 4;
const WIDE_COLOURS = 0x20;

/** A frame buffer mode that is on. Pixels are little-endian; 15 and 16 bits are 5:5:5 and 5:6:5, 24 and 32 blue first. */
export interface FrameMode {
  readonly width: number;
  readonly height: number;
  readonly depth: Depth;
  /** Bytes from one line to the next. */
  readonly stride: number;
  /** Byte of the first pixel shown. */
  readonly start: number;
}

export const bytesOf = (depth: Depth): number => (depth === 15 ? 2 : depth / 8);

/** The registers, checked as the driver writes them: what does not fit into memory is clipped, so that a mode never reaches past its end. */
export class Dispi {
  private readonly values = new Uint16Array(REGISTERS);
  index = 0;

  /** @param clear called when a mode is set and the frame buffer is to be cleared */
  constructor(
    private readonly memoryBytes: number,
    private readonly clear: () => void,
  ) {
    this.reset();
  }

  reset(): void {
    this.values.fill(0);
    this.values[DISPI_ID] = VERSION_LAST;
    this.index = 0;
  }

  read(index: number): number {
    if (index === DISPI_MEMORY_64K) return this.memoryBytes / 0x10000;
    if (this.values[DISPI_ENABLE] & GET_CAPABILITIES) {
      if (index === DISPI_XRES) return MAX_WIDTH;
      if (index === DISPI_YRES) return MAX_HEIGHT;
      if (index === DISPI_BPP) return MAX_BPP;
    }
    return this.values.at(index) ?? 0;
  }

  write(index: number, value: number): void {
    const { values } = this;
    switch (index) {
      case DISPI_ID:
        if (value >= VERSION_FIRST && value <= VERSION_LAST) values[DISPI_ID] = value;
        break;
      case DISPI_XRES:
        if (value > 0 && value <= MAX_WIDTH) values[index] = value & ~7;
        break;
      case DISPI_YRES:
        if (value > 0 && value <= MAX_HEIGHT) values[index] = value;
        break;
      case DISPI_BPP:
        values[index] = DEPTHS.includes(value) || value === PLANAR ? value : value === 0 ? 8 : values[index];
        break;
      case DISPI_ENABLE:
        this.enable(value);
        break;
      case DISPI_VIRTUAL_WIDTH:
        values[index] = value;
        this.fit();
        break;
      case DISPI_BANK:
      case DISPI_X_OFFSET:
      case DISPI_Y_OFFSET:
        values[index] = value;
        break;
      default:
        break;
    }
  }

  private enable(value: number): void {
    const { values } = this;
    const turnsOn = (value & ENABLED) !== 0 && !(values[DISPI_ENABLE] & ENABLED);
    values[DISPI_ENABLE] = value & ENABLE_KEPT;
    if (!turnsOn) return;
    if (values[DISPI_BPP] === 0) values[DISPI_BPP] = 8;
    values[DISPI_VIRTUAL_WIDTH] = values[DISPI_XRES];
    values[DISPI_X_OFFSET] = values[DISPI_Y_OFFSET] = 0;
    this.fit();
    if (!(value & KEEP_MEMORY)) this.clear();
  }

  /** The virtual width is at least the width; as many lines as memory holds are the virtual height. */
  private fit(): void {
    const { values } = this;
    values[DISPI_VIRTUAL_WIDTH] = Math.max(values[DISPI_VIRTUAL_WIDTH], values[DISPI_XRES], 8);
    const stride = values[DISPI_VIRTUAL_WIDTH] * (values[DISPI_BPP] === PLANAR ? 0.5 : bytesOf(this.depth));
    values[DISPI_VIRTUAL_HEIGHT] = Math.min(0xffff, Math.floor(this.memoryBytes / stride));
  }

  private get depth(): Depth {
    return (DEPTHS.includes(this.values[DISPI_BPP]) ? this.values[DISPI_BPP] : 8) as Depth;
  }

  private get enabled(): boolean {
    const { values } = this;
    return (values[DISPI_ENABLE] & ENABLED) !== 0 && values[DISPI_XRES] > 0 && values[DISPI_YRES] > 0;
  }

  /** The palette's parts have 8 bits. */
  get wideColours(): boolean {
    return (this.values[DISPI_ENABLE] & WIDE_COLOURS) !== 0;
  }

  /** The 64 KiB of video memory that show in the legacy window, while a linear mode is on. */
  get bank(): number | undefined {
    return this.enabled && this.values[DISPI_BPP] !== PLANAR ? this.values[DISPI_BANK] : undefined;
  }

  /** The picture of the VGA's planes, while a mode with four bits a pixel is on. */
  get planar(): PlanarFrame | undefined {
    const { values } = this;
    if (!this.enabled || values[DISPI_BPP] !== PLANAR) return undefined;
    const width = values[DISPI_XRES];
    const stride = Math.max(values[DISPI_VIRTUAL_WIDTH], width) >> 3;
    const start = values[DISPI_Y_OFFSET] * stride + (values[DISPI_X_OFFSET] >> 3);
    const height = Math.min(values[DISPI_YRES], Math.floor(this.memoryBytes / 4 / stride));
    return { width, height, stride, start };
  }

  /** The linear mode that shows, or undefined while the VGA's registers say what does. */
  get mode(): FrameMode | undefined {
    const { values } = this;
    if (!this.enabled || values[DISPI_BPP] === PLANAR) return undefined;
    const width = values[DISPI_XRES];
    const { depth } = this;
    const pixel = bytesOf(depth);
    const stride = Math.max(values[DISPI_VIRTUAL_WIDTH], width) * pixel;
    const start = values[DISPI_Y_OFFSET] * stride + values[DISPI_X_OFFSET] * pixel;
    const lines = Math.floor((this.memoryBytes - start - width * pixel) / stride) + 1;
    const height = Math.min(values[DISPI_YRES], lines);
    return height < 1 || start >= this.memoryBytes ? undefined : { width, height, depth, stride, start };
  }

  save(): State {
    return { values: Array.from(this.values), index: this.index };
  }

  restore(reader: StateReader): void {
    this.values.set(reader.numbers("values").slice(0, REGISTERS));
    this.index = reader.number("index");
  }
}
