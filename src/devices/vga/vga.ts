import type { State } from "../../common/state";
import type { Device, DeviceContext, RegisterView } from "../device";
import { byteHandler } from "../ports";
import { StateReader } from "../stateReader";
import { BUILT_IN_FONT, TEXT_COLOURS, type TextScreen } from "./screen";

/** 80 by 25 text: 449 lines of 31.778 microseconds, 70.086 frames a second. */
const LINE = 31_778;
const LINES = 449;
const VISIBLE_LINES = 400;
const VISIBLE_PART = 25_422;
const RETRACE_FIRST = 412;
const RETRACE_LAST = 413;

const SEQUENCER = 0x3c4;
const GRAPHICS = 0x3ce;
/** The CRTC and input status 1 answer here with bit 0 of the miscellaneous output register, else at the monochrome adapter's ports. */
const CRTC = 0x3d4;
const STATUS = 0x3da;
const MONO_CRTC = 0x3b4;
const MONO_STATUS = 0x3ba;
const MISC_COLOUR = 1;
/** The attribute controller's index: the palette's registers are shut to writes and the screen shows. */
const PALETTE_SHUT = 0x20;

/** CRTC of 80 by 25 colour text as firmware leaves it (mode 3): horizontal, vertical and cursor registers. */
const MODE3_CRTC = [
  0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9,
  0xa3, 0xff,
];

/** Bounds of a text screen that is drawn. */
const MAX_COLUMNS = 160;
const MAX_ROWS = 60;

/** A group of registers behind an index port and a data port. */
class Indexed {
  index = 0;
  readonly values: Uint8Array;

  constructor(
    readonly count: number,
    private readonly initial: readonly number[] = [],
  ) {
    this.values = new Uint8Array(count);
    this.reset();
  }

  reset(): void {
    this.index = 0;
    this.values.fill(0);
    this.values.set(this.initial);
  }

  get data(): number {
    return this.index < this.count ? this.values[this.index] : 0;
  }

  set data(value: number) {
    if (this.index < this.count) this.values[this.index] = value;
  }
}

/**
 * The registers of a VGA, at 0x3c0 to 0x3cf, 0x3d4, 0x3d5 and 0x3da (or 0x3b4, 0x3b5 and 0x3ba): they keep what drivers write, and the retrace bits follow virtual time.
 * Memory is not this device's: `VgaWindow` is the planes; on a board without a display adapter the text's cells are plain RAM at 0xb8000.
 */
export class Vga implements Device {
  readonly name = "vga";
  readonly crtc = new Indexed(0x19, MODE3_CRTC);
  readonly sequencer = new Indexed(5, [0x03, 0x00, 0x03, 0x00, 0x02]);
  readonly graphics = new Indexed(9, [0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff]);
  readonly attribute = new Indexed(0x15, [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 8, 0]);
  private readonly palette = new Uint8Array(768);
  /** The next write to 0x3c0 is data, not an index. */
  private attributeData = false;
  private misc = 0x67;
  private feature = 0;
  paletteMask = 0xff;
  /** The palette's parts have 8 bits and not 6. */
  wideColours = false;
  /** Position in the palette's bytes, and whether 0x3c7 or 0x3c8 set it. */
  private paletteAt = 0;
  private paletteReading = false;

  constructor(private readonly context: DeviceContext) {
    this.reset();
    const handler = byteHandler(
      (port) => this.readPort(port),
      (port, value) => this.writePort(port, value),
    );
    context.mapPorts("vga", 0x3c0, 16, handler);
    context.mapPorts("vga.crtc", CRTC, 2, handler);
    context.mapPorts("vga.status", STATUS, 1, handler);
    context.mapPorts("vga.mono-crtc", MONO_CRTC, 2, handler);
    context.mapPorts("vga.mono-status", MONO_STATUS, 1, handler);
  }

  /** Input status 1: bit 0 display disabled (either retrace or blanking), bit 3 vertical retrace. */
  private inputStatus(): number {
    const inFrame = this.context.clock.now() % (LINE * LINES);
    const line = Math.floor(inFrame / LINE);
    const blanked = line >= VISIBLE_LINES || inFrame % LINE >= VISIBLE_PART;
    return (blanked ? 1 : 0) | (line >= RETRACE_FIRST && line <= RETRACE_LAST ? 8 : 0);
  }

  /** The port as a colour adapter has it; -1 where the adapter does not answer now. */
  private colourPort(port: number): number {
    const colour = (this.misc & MISC_COLOUR) !== 0;
    if (port === STATUS || (port & ~1) === CRTC) return colour ? port : -1;
    if (port === MONO_STATUS || (port & ~1) === MONO_CRTC) return colour ? -1 : port + CRTC - MONO_CRTC;
    return port;
  }

  /** Guest read of one of the ports 0x3b0 to 0x3df. */
  readPort(port: number): number {
    switch (this.colourPort(port)) {
      case 0x3c0:
        return this.attribute.index;
      case 0x3c1:
        return (this.attribute.index & 0x1f) < this.attribute.count ? this.attribute.values[this.attribute.index & 0x1f] : 0;
      case 0x3c2: // Input status 0: no interrupt pending, monitor sensed.
        return 0x10;
      case SEQUENCER:
        return this.sequencer.index;
      case SEQUENCER + 1:
        return this.sequencer.data;
      case 0x3c6:
        return this.paletteMask;
      case 0x3c7:
        return this.paletteReading ? 3 : 0;
      case 0x3c8:
        return Math.floor(this.paletteAt / 3) & 0xff;
      case 0x3c9: {
        const value = this.palette[this.paletteAt];
        this.paletteAt = (this.paletteAt + 1) % 768;
        return value;
      }
      case 0x3ca:
        return this.feature;
      case 0x3cc:
        return this.misc;
      case GRAPHICS:
        return this.graphics.index;
      case GRAPHICS + 1:
        return this.graphics.data;
      case CRTC:
        return this.crtc.index;
      case CRTC + 1:
        return this.crtc.data;
      case STATUS:
        this.attributeData = false;
        return this.inputStatus();
      default:
        return 0xff;
    }
  }

  /** Guest write of one of these ports. */
  writePort(port: number, value: number): void {
    switch (this.colourPort(port)) {
      case 0x3c0:
        if (this.attributeData) {
          const index = this.attribute.index & 0x1f;
          const shut = index < 16 && (this.attribute.index & PALETTE_SHUT) !== 0;
          if (index < this.attribute.count && !shut) this.attribute.values[index] = value;
        } else {
          this.attribute.index = value & 0x3f;
        }
        this.attributeData = !this.attributeData;
        break;
      case 0x3c2:
        this.misc = value;
        break;
      case SEQUENCER:
        this.sequencer.index = value & 7;
        break;
      case SEQUENCER + 1:
        this.sequencer.data = value;
        break;
      case 0x3c6:
        this.paletteMask = value;
        break;
      case 0x3c7:
      case 0x3c8:
        this.paletteAt = value * 3;
        this.paletteReading = port === 0x3c7;
        break;
      case 0x3c9:
        this.palette[this.paletteAt] = this.wideColours ? value : value & 0x3f;
        this.paletteAt = (this.paletteAt + 1) % 768;
        break;
      case GRAPHICS:
        this.graphics.index = value & 15;
        break;
      case GRAPHICS + 1:
        this.graphics.data = value;
        break;
      case CRTC:
        this.crtc.index = value & 0x3f;
        break;
      case CRTC + 1:
        // Registers 0 to 7 are protected by bit 7 of register 0x11, save the line compare bit in 7.
        if (this.crtc.values[0x11] & 0x80 && this.crtc.index < 8) {
          if (this.crtc.index === 7) this.crtc.data = (this.crtc.data & ~0x10) | (value & 0x10);
        } else {
          this.crtc.data = value;
        }
        break;
      case STATUS:
        this.feature = value & 3;
        break;
      default:
        break;
    }
  }

  /** Cell of the cursor from the start of the text, and whether it shows: for a view of the screen. */
  cursor(): { readonly cell: number; readonly visible: boolean } {
    const cell = (this.crtc.values[0x0e] << 8) | this.crtc.values[0x0f];
    return { cell, visible: (this.crtc.values[0x0a] & 0x20) === 0 };
  }

  /** The 256 colours of the palette, 0xRRGGBB. */
  get colours(): Uint32Array {
    const { palette } = this;
    const part = (at: number): number => (this.wideColours ? palette[at] : (palette[at] << 2) | (palette[at] >> 4));
    return Uint32Array.from({ length: 256 }, (_, index) => (part(3 * index) << 16) | (part(3 * index + 1) << 8) | part(3 * index + 2));
  }

  /** The screen is not blanked. */
  get shows(): boolean {
    return (this.attribute.index & PALETTE_SHUT) !== 0 && (this.sequencer.values[1] & 0x20) === 0;
  }

  /** Puts the colours into the palette that a VGA BIOS loads for text: six bits each, two for red, green and blue, of which the upper ones are weaker. */
  loadTextColours(): void {
    for (let colour = 0; colour < 64; colour++) {
      for (let part = 0; part < 3; part++) {
        const strong = (colour >> (2 - part)) & 1;
        const weak = (colour >> (5 - part)) & 1;
        this.palette[3 * colour + part] = strong * 0x2a + weak * 0x15;
      }
    }
  }

  /** The text that shows on a board without a display adapter, out of its 32 KiB of text memory: as many rows and columns as the CRTC's registers say. */
  textScreen(memory: Uint8Array): TextScreen {
    const { values } = this.crtc;
    const columns = Math.min(MAX_COLUMNS, values[1] + 1);
    const rows = Math.max(1, Math.min(MAX_ROWS, Math.floor(this.lines / ((values[9] & 0x1f) + 1))));
    const start = this.startAddress;
    const cells = new Uint8Array(2 * columns * rows);
    for (let at = 0; at < cells.length; at++) cells[at] = memory[(2 * start + at) % memory.length];
    const { cell, visible } = this.cursor();
    const place = cell - start;
    const cursor = visible && place >= 0 && place < columns * rows ? place : -1;
    return { kind: "text", columns, rows, cells, cursor, colours: TEXT_COLOURS, font: BUILT_IN_FONT };
  }

  /** Scan lines shown. */
  get lines(): number {
    const { values } = this.crtc;
    return (values[0x12] | ((values[7] & 0x02) << 7) | ((values[7] & 0x40) << 3)) + 1;
  }

  /** The CRTC's address of the screen's top left corner: a cell, in text. */
  get startAddress(): number {
    return (this.crtc.values[0x0c] << 8) | this.crtc.values[0x0d];
  }

  reset(): void {
    for (const group of [this.crtc, this.sequencer, this.graphics, this.attribute]) group.reset();
    this.palette.fill(0);
    this.attributeData = this.paletteReading = false;
    this.misc = 0x67;
    this.feature = 0;
    this.paletteMask = 0xff;
    this.paletteAt = 0;
    this.wideColours = false;
    this.attribute.index = PALETTE_SHUT;
  }

  save(): State {
    return {
      groups: [this.crtc, this.sequencer, this.graphics, this.attribute].map((group) => ({
        index: group.index,
        values: group.values.slice(),
      })),
      palette: this.palette.slice(),
      attributeData: this.attributeData,
      misc: this.misc,
      feature: this.feature,
      paletteMask: this.paletteMask,
      wideColours: this.wideColours,
      paletteAt: this.paletteAt,
      paletteReading: this.paletteReading,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    const groups = reader.list("groups");
    [this.crtc, this.sequencer, this.graphics, this.attribute].forEach((group, index) => {
      const saved = new StateReader(groups[index] ?? null, `${this.name}.group${index}`);
      group.index = saved.number("index");
      group.values.set(saved.bytes("values", group.count));
    });
    this.palette.set(reader.bytes("palette", 768));
    this.attributeData = reader.boolean("attributeData");
    this.misc = reader.number("misc");
    this.feature = reader.number("feature");
    this.paletteMask = reader.number("paletteMask");
    this.wideColours = reader.boolean("wideColours");
    this.paletteAt = reader.number("paletteAt") % 768;
    this.paletteReading = reader.boolean("paletteReading");
  }

  registers(): readonly RegisterView[] {
    const { cell, visible } = this.cursor();
    return [
      { name: "CRTC index", value: BigInt(this.crtc.index), bits: 8 },
      { name: "start", value: BigInt(this.startAddress), bits: 16 },
      {
        name: "cursor",
        value: BigInt(cell),
        bits: 16,
        text: `row ${Math.floor(cell / 80)}, column ${cell % 80}${visible ? "" : ", hidden"}`,
      },
    ];
  }
}
