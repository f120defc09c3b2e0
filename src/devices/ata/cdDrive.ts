import type { State } from "../../common/state";
import type { Disk } from "../block/disk";
import { CD_SECTOR } from "../block/openDisk";
import { StateReader } from "../stateReader";
import { identifyCdrom } from "./identify";

export const PACKET_BYTES = 12;

/** What a packet command asks for. */
export type PacketResult =
  | { readonly kind: "done" }
  /** Bytes for the host, already cut to the allocation length. */
  | { readonly kind: "data"; readonly data: Uint8Array }
  /** Bytes of the disc for the host; the range lies inside. */
  | { readonly kind: "read"; readonly offset: number; readonly length: number }
  /** CHECK CONDITION: `error` is for the error register, the sense key in its upper half. */
  | { readonly kind: "check"; readonly error: number };

/** Sense keys (SPC-3, 4.5.6) and additional sense codes. */
const NO_SENSE = 0;
const ILLEGAL_REQUEST = 5;
const UNIT_ATTENTION = 6;
const INVALID_COMMAND = 0x20;
const OUT_OF_RANGE = 0x21;
const INVALID_FIELD = 0x24;
const POWER_ON = 0x29;

const DONE: PacketResult = { kind: "done" };
const LEAD_OUT = 0xaa;
/** Data track, copying not prohibited: ADR and control of the TOC. */
const TRACK_CONTROL = 0x14;
/** Current profile: CD-ROM; an image beyond the size of a CD is a DVD. */
const PROFILE_CD = 0x0008;
const PROFILE_DVD = 0x0010;
const CD_SECTORS = 450_000;

/** Big-endian bytes of a reply. */
class Reply {
  private readonly values: number[] = [];

  u8(...values: number[]): this {
    for (const value of values) this.values.push(value & 0xff);
    return this;
  }

  u16(value: number): this {
    return this.u8(value >> 8, value);
  }

  u32(value: number): this {
    return this.u8(value >>> 24, value >>> 16, value >>> 8, value);
  }

  text(value: string, length: number): this {
    for (const character of value.padEnd(length).slice(0, length)) this.u8(character.charCodeAt(0));
    return this;
  }

  get length(): number {
    return this.values.length;
  }

  /** Overwrites the first two bytes by the length of what follows them. */
  lengthed(): this {
    const following = this.values.length - 2;
    this.values[0] = (following >> 8) & 0xff;
    this.values[1] = following & 0xff;
    return this;
  }

  bytes(limit: number): PacketResult {
    return { kind: "data", data: Uint8Array.from(this.values.slice(0, limit)) };
  }
}

/** Minute, second and frame of a sector, by the Red Book's 75 frames a second and lead-in of two seconds. */
function msf(sector: number): [number, number, number] {
  const frames = sector + 150;
  return [Math.floor(frames / 4500) & 0xff, Math.floor(frames / 75) % 60, frames % 75];
}

/** A CD-ROM drive with a disc: the packet commands of MMC-6 and SPC-3 that systems use to read one data track. */
export class CdDrive {
  private key = NO_SENSE;
  private code = 0;
  /** A reset is to be reported to the next command that can. */
  private attention = true;
  private transferMode = 0x45;

  constructor(
    readonly disc: Disk,
    private readonly sata: boolean,
  ) {}

  /** Sectors of 2048 bytes. */
  get sectors(): number {
    return Math.floor(this.disc.size / CD_SECTOR);
  }

  identify(): Uint8Array {
    return identifyCdrom({ transferMode: this.transferMode, serial: "APIC-CDROM", sata: this.sata });
  }

  /** SET FEATURES: true if there is such a setting. */
  setFeatures(feature: number, count: number): boolean {
    if (feature !== 0x03) return [0x55, 0xaa, 0x66, 0xcc].includes(feature);
    const pio = count < 0x02 || (count >= 0x08 && count <= 0x0c);
    if (!pio && !(count >= 0x20 && count <= 0x22) && !(count >= 0x40 && count <= 0x45)) return false;
    if (!pio) this.transferMode = count;
    return true;
  }

  private check(key: number, code: number): PacketResult {
    this.key = key;
    this.code = code;
    return { kind: "check", error: (key << 4) | 0x04 };
  }

  /** Carries out the command in `packet`, 12 bytes. */
  execute(packet: Uint8Array): PacketResult {
    const u16 = (at: number): number => (packet[at] << 8) | packet[at + 1];
    const u32 = (at: number): number => ((u16(at) << 16) | u16(at + 2)) >>> 0;
    const command = packet[0];
    if (command === 0x03) return this.requestSense(packet[4]);
    if (command === 0x12) return this.inquiry(packet, u16(3));
    // GET CONFIGURATION and GET EVENT STATUS NOTIFICATION do not report it either (MMC-6, 4.1.6.1).
    if (this.attention && command !== 0x46 && command !== 0x4a) {
      this.attention = false;
      return this.check(UNIT_ATTENTION, POWER_ON);
    }
    this.key = NO_SENSE;
    this.code = 0;
    switch (command) {
      case 0x00: // TEST UNIT READY
      case 0x1b: // START STOP UNIT: the disc stays.
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
      case 0x35: // SYNCHRONIZE CACHE
      case 0xbb: // SET CD SPEED
        return DONE;
      case 0x25:
        return new Reply()
          .u32(this.sectors - 1)
          .u32(CD_SECTOR)
          .bytes(8);
      case 0x28:
        return this.read(u32(2), u16(7));
      case 0xa8:
        return this.read(u32(2), u32(6));
      case 0x2b: // SEEK
        return u32(2) < this.sectors ? DONE : this.check(ILLEGAL_REQUEST, OUT_OF_RANGE);
      case 0xbe:
        return this.readCd(packet, u32(2), (packet[6] << 16) | u16(7));
      case 0x42: // READ SUB-CHANNEL: no audio.
        return new Reply().u8(0, 0x15, 0, 0).bytes(u16(7));
      case 0x43:
        return this.readToc(packet, u16(7));
      case 0x46:
        return this.configuration(packet, u16(7));
      case 0x4a:
        return this.events(packet, u16(7));
      case 0x51: // READ DISC INFORMATION: finished, one session of one track.
        return new Reply()
          .u8(0, 0, 0x0e, 1, 1, 1, 1, 0x20, 0, 0, 0, 0)
          .u8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
          .lengthed()
          .bytes(u16(7));
      case 0x52:
        return this.trackInformation(u16(7));
      case 0x1a:
        return this.modeSense(packet[2], packet[4], false);
      case 0x5a:
        return this.modeSense(packet[2], u16(7), true);
      case 0xbd: // MECHANISM STATUS: idle, no changer.
        return new Reply().u8(0, 0, 0, 0, 0, 0, 0, 0).bytes(u16(8));
      default:
        return this.check(ILLEGAL_REQUEST, INVALID_COMMAND);
    }
  }

  private read(sector: number, count: number): PacketResult {
    if (sector + count > this.sectors) return this.check(ILLEGAL_REQUEST, OUT_OF_RANGE);
    return count === 0 ? DONE : { kind: "read", offset: sector * CD_SECTOR, length: count * CD_SECTOR };
  }

  /** READ CD: user data only, as sectors of data tracks hold nothing else in an image. */
  private readCd(packet: Uint8Array, sector: number, count: number): PacketResult {
    const type = (packet[1] >> 2) & 7;
    if (count === 0 || packet[9] === 0) return DONE;
    if ((packet[9] & 0xf8) !== 0x10 || (type !== 0 && type !== 2 && type !== 4)) return this.check(ILLEGAL_REQUEST, INVALID_FIELD);
    return this.read(sector, count);
  }

  private requestSense(limit: number): PacketResult {
    if (this.attention) {
      this.attention = false;
      this.key = UNIT_ATTENTION;
      this.code = POWER_ON;
    }
    const reply = new Reply().u8(0x70, 0, this.key, 0, 0, 0, 0, 10, 0, 0, 0, 0, this.code, 0, 0, 0, 0, 0);
    this.key = NO_SENSE;
    this.code = 0;
    return reply.bytes(limit);
  }

  private inquiry(packet: Uint8Array, limit: number): PacketResult {
    if (packet[1] & 1) return this.check(ILLEGAL_REQUEST, INVALID_FIELD);
    const reply = new Reply().u8(0x05, 0x80, 0x05, 0x32, 31, 0, 0, 0);
    return reply.text("APICSCOP", 8).text("CD-ROM", 16).text("1.0", 4).bytes(limit);
  }

  private address(reply: Reply, sector: number, inMsf: boolean): Reply {
    return inMsf ? reply.u8(0, ...msf(sector)) : reply.u32(sector);
  }

  private readToc(packet: Uint8Array, limit: number): PacketResult {
    const inMsf = (packet[1] & 2) !== 0;
    // The format's place before MMC was the control byte.
    const format = packet[2] & 15 || packet[9] >> 6;
    const reply = new Reply();
    if (format === 0) {
      const first = packet[6];
      if (first > 1 && first !== LEAD_OUT) return this.check(ILLEGAL_REQUEST, INVALID_FIELD);
      reply.u8(0, 0, 1, 1);
      if (first <= 1) this.address(reply.u8(0, TRACK_CONTROL, 1, 0), 0, inMsf);
      this.address(reply.u8(0, TRACK_CONTROL, LEAD_OUT, 0), this.sectors, inMsf);
    } else if (format === 1) {
      this.address(reply.u8(0, 0, 1, 1, 0, TRACK_CONTROL, 1, 0), 0, inMsf);
    } else if (format === 2) {
      reply.u8(0, 0, 1, 1);
      // First track, last track, lead-out, and the track itself.
      for (const point of [0xa0, 0xa1]) reply.u8(1, TRACK_CONTROL, 0, point, 0, 0, 0, 0, 1, 0, 0);
      reply.u8(1, TRACK_CONTROL, 0, 0xa2, 0, 0, 0, 0, ...msf(this.sectors));
      reply.u8(1, TRACK_CONTROL, 0, 1, 0, 0, 0, 0, ...msf(0));
    } else {
      return this.check(ILLEGAL_REQUEST, INVALID_FIELD);
    }
    return reply.lengthed().bytes(limit);
  }

  private get profile(): number {
    return this.sectors > CD_SECTORS ? PROFILE_DVD : PROFILE_CD;
  }

  private configuration(packet: Uint8Array, limit: number): PacketResult {
    const requested = packet[1] & 3;
    const from = (packet[2] << 8) | packet[3];
    const features: readonly (readonly [code: number, data: readonly number[]])[] = [
      // Profile list, core (ATAPI), removable medium, random readable.
      [0x0000, [0x03, 8, 0, PROFILE_DVD, this.profile === PROFILE_DVD ? 1 : 0, 0, 0, PROFILE_CD, this.profile === PROFILE_CD ? 1 : 0, 0]],
      [0x0001, [0x0b, 8, 0, 0, 0, 2, 1, 0, 0, 0]],
      [0x0003, [0x03, 4, 0x21, 0, 0, 0]],
      [0x0010, [0x01, 8, 0, 0, 8, 0, 0, 1, 0, 0]],
    ];
    const body = new Reply();
    for (const [code, data] of features) {
      if (requested === 2 ? code === from : code >= from) body.u16(code).u8(...data);
    }
    const reply = new Reply()
      .u32(body.length + 4)
      .u16(0)
      .u16(this.profile);
    const { data } = body.bytes(body.length) as { data: Uint8Array };
    return reply.u8(...data).bytes(limit);
  }

  /** GET EVENT STATUS NOTIFICATION, polled: nothing new about the medium, which is present. */
  private events(packet: Uint8Array, limit: number): PacketResult {
    if (!(packet[1] & 1)) return this.check(ILLEGAL_REQUEST, INVALID_FIELD);
    const MEDIA = 4;
    if (!(packet[4] & (1 << MEDIA))) return new Reply().u8(0, 2, 0x80, 1 << MEDIA).bytes(limit);
    return new Reply().u8(0, 6, MEDIA, 1 << MEDIA, 0, 0x02, 0, 0).bytes(limit);
  }

  private trackInformation(limit: number): PacketResult {
    const reply = new Reply().u8(0, 0, 1, 1, 0, 0x04, 0x01, 0).u32(0).u32(0).u32(0).u32(0).u32(this.sectors);
    return reply.u8(0, 0, 0, 0, 0, 0, 0, 0).lengthed().bytes(limit);
  }

  private modeSense(field: number, limit: number, long: boolean): PacketResult {
    const page = field & 0x3f;
    if (field >> 6 === 3) return this.check(ILLEGAL_REQUEST, 0x39);
    const pages: readonly (readonly [code: number, data: readonly number[]])[] = [
      [0x01, [6, 0, 5, 0, 0, 0, 0]],
      // Capabilities: reads CD-R, mode 2; locks, ejects a tray; 16x.
      [0x2a, [18, 0x3b, 0, 0x70, 0, 0x29, 0, 0x0b, 0, 0, 2, 2, 0, 0x0b, 0, 0, 0, 0, 0]],
    ];
    const chosen = pages.filter(([code]) => page === 0x3f || code === page);
    if (chosen.length === 0) return this.check(ILLEGAL_REQUEST, INVALID_FIELD);
    const body = new Reply();
    for (const [code, data] of chosen) body.u8(code, ...data);
    const header = long ? new Reply().u16(body.length + 6).u8(1, 0, 0, 0, 0, 0) : new Reply().u8(body.length + 3, 1, 0, 0);
    const { data } = body.bytes(body.length) as { data: Uint8Array };
    return header.u8(...data).bytes(limit);
  }

  reset(): void {
    this.key = NO_SENSE;
    this.code = 0;
    this.attention = true;
    this.transferMode = 0x45;
  }

  save(): State {
    return { key: this.key, code: this.code, attention: this.attention, transferMode: this.transferMode };
  }

  restore(state: State): void {
    const reader = new StateReader(state, `${this.disc.name}.atapi`);
    this.key = reader.number("key");
    this.code = reader.number("code");
    this.attention = reader.boolean("attention");
    this.transferMode = reader.number("transferMode");
  }
}
