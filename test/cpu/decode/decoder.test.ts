import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  DECODE_FETCH_FAULT,
  DECODE_OK,
  DECODE_PAST_END,
  DECODE_TOO_LONG,
  DECODE_UNDEFINED,
  Decoder,
} from "../../../src/cpu/decode/decoder";
import { mnemonics } from "../../../src/cpu/decode/mnemonics";
import { MODE_32, MODE_64, MODE_PROTECTED, MODE_VM86, MODE_16 } from "../../../src/cpu/mode";
import { allFeatures, codeOf, compare, type Bitness, modeOfBitness } from "./icedCompare";

const bitnesses: readonly Bitness[] = [16, 32, 64];
const claimed = mnemonics.filter((name) => name !== "simd" && name !== "x87");
/** APICSCOPE_LONG=1: every ModRM byte and millions of random strings. */
const thorough = process.env["APICSCOPE_LONG"] === "1";
const strings = thorough ? 3_000_000 : 60_000;

function check(bytes: Uint8Array): void {
  for (const bits of bitnesses) {
    const difference = compare(bytes, bits, claimed);
    assert.equal(difference, null, `${Buffer.from(bytes).toString("hex")} in ${bits}-bit code: ${difference}`);
  }
}

function bytesOf(...head: number[]): Uint8Array {
  const bytes = new Uint8Array(24).fill(0x11);
  bytes.set(head);
  return bytes;
}

describe("decoder against iced-x86", () => {
  test("every opcode of every map with ModRM bytes and prefixes", () => {
    const maps = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
    for (const map of maps) {
      for (let opcode = 0; opcode < 256; opcode++) {
        // Of the rm fields, one for each mod and reg will do in everyday runs.
        for (let step = 0; step < (thorough ? 256 : 32); step++) {
          const modrm = thorough ? step : (step << 3) | ((step * 5 + opcode) & 7);
          check(bytesOf(...map, opcode, modrm));
          const prefix = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x48, 0x4f, 0x65][(modrm >> (thorough ? 0 : 2)) & 7];
          check(bytesOf(prefix, ...map, opcode, modrm ^ (opcode & 7)));
        }
      }
    }
  });

  test("every VEX opcode with each L, W, pp, with and without vvvv, registers and memory", () => {
    for (let map = 1; map <= 3; map++) {
      for (let opcode = 0; opcode < 256; opcode++) {
        for (let third = 0; third < 256; third++) {
          // vvvv all ones, and two others.
          if (!thorough && ![0xf, 3, (opcode + third) & 15].includes((third >> 3) & 15)) continue;
          const mix = Math.imul(opcode * 256 + third, 0x9e3779b1) >>> 8;
          for (let step = 0; step < (thorough ? 32 : 3); step++) {
            const modrm = [0xc0 | (mix & 63), mix & 0xbf, 0x44 | (mix & 0xb8)][step % 3] ^ (Math.floor(step / 3) * 0x09);
            const rxb = (((mix >> 8) & 7) << 5) | (step === 0 ? 0xe0 : 0);
            check(bytesOf(0xc4, rxb | map, third, opcode, modrm, mix & 0xff));
            if (map === 1) check(bytesOf(0xc5, third, opcode, modrm, mix & 0xff));
            if (step === 0) check(bytesOf([0x67, 0x66, 0xf3, 0xf2, 0xf0, 0x48, 0x64][mix % 7], 0xc4, 0xe0 | map, third, opcode, modrm));
          }
        }
      }
    }
  });

  test("random prefixes, opcodes and operands", () => {
    const prefixes = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x48, 0x40, 0x41, 0x4f, 0x44];
    let seed = 0x1234567;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % below;
    };
    const bytes = new Uint8Array(24);
    for (let round = 0; round < strings; round++) {
      let at = 0;
      for (let count = [0, 0, 0, 1, 1, 2, 3, 5][random(8)]; count > 0; count--) bytes[at++] = prefixes[random(prefixes.length)];
      const map = random(8);
      if (map >= 3 && map <= 5) bytes[at++] = 0x0f;
      if (map === 5) bytes[at++] = random(2) === 0 ? 0x38 : 0x3a;
      if (map === 6) {
        bytes[at++] = [0xc4, 0xc4, 0xc5, 0x62][random(4)];
        if (bytes[at - 1] === 0xc4) bytes[at++] = (random(8) << 5) | (1 + random(3));
      }
      for (; at < bytes.length; at++) bytes[at] = random(256);
      check(bytes);
    }
  });
});

describe("decoder by itself", () => {
  const decoder = new Decoder(allFeatures);
  const decode = (bits: Bitness, bytes: number[], end = 100): number =>
    decoder.decode(codeOf(Uint8Array.from(bytes)), 0, modeOfBitness(bits), end);

  test("an instruction may have 15 bytes and no more", () => {
    const prefixed = (count: number): number[] => [...Array.from({ length: count }, () => 0x66), 0x90];
    assert.equal(decode(64, prefixed(14)), DECODE_OK);
    assert.equal(decoder.length, 15);
    assert.equal(decode(64, prefixed(15)), DECODE_TOO_LONG);
  });

  test("bytes that cannot be fetched and bytes past the end are told apart", () => {
    assert.equal(decode(32, [0x05, 1, 2]), DECODE_FETCH_FAULT);
    assert.equal(decode(32, [0x05, 1, 2, 3, 4], 4), DECODE_PAST_END);
    assert.equal(decode(32, [0x05, 1, 2, 3, 4], 5), DECODE_OK);
  });

  test("LOCK needs a memory destination", () => {
    assert.equal(decode(64, [0xf0, 0x01, 0x00]), DECODE_OK);
    assert.equal(decode(64, [0xf0, 0x01, 0xc0]), DECODE_UNDEFINED);
    assert.equal(decode(64, [0xf0, 0x03, 0x00]), DECODE_UNDEFINED);
    assert.equal(decode(64, [0xf0, 0x39, 0x00]), DECODE_UNDEFINED);
  });

  test("VEX is unknown in real and virtual-8086 mode", () => {
    const andn = [0xc4, 0xe2, 0x78, 0xf2, 0xc1];
    const code = codeOf(Uint8Array.from(andn));
    assert.equal(decoder.decode(code, 0, MODE_PROTECTED | MODE_32, 100), DECODE_OK);
    assert.equal(decoder.row.mnemonic, "andn");
    assert.equal(decoder.decode(code, 0, MODE_16, 100), DECODE_UNDEFINED);
    assert.equal(decoder.decode(code, 0, MODE_16 | MODE_PROTECTED | MODE_VM86, 100), DECODE_UNDEFINED);
  });

  test("instructions of features that the CPU lacks are undefined, or are what they were before", () => {
    const plain = new Decoder({ ...allFeatures, popcnt: false, lzcnt: false, bmi1: false, bmi2: false });
    const status = (...bytes: number[]): number => plain.decode(codeOf(Uint8Array.from(bytes)), 0, MODE_PROTECTED | MODE_64, 100);
    assert.equal(status(0xf3, 0x0f, 0xb8, 0xc1), DECODE_UNDEFINED);
    assert.equal(status(0xf3, 0x0f, 0xbd, 0xc1), DECODE_OK);
    assert.equal(plain.row.mnemonic, "bsr");
    assert.equal(status(0xf3, 0x0f, 0xbc, 0xc1), DECODE_OK);
    assert.equal(plain.row.mnemonic, "bsf");
  });

  test("null segment prefixes do nothing in 64-bit mode", () => {
    assert.equal(decode(64, [0x65, 0x2e, 0x8b, 0x00]), DECODE_OK);
    assert.equal(decoder.segment, 5);
    assert.equal(decode(32, [0x65, 0x2e, 0x8b, 0x00]), DECODE_OK);
    assert.equal(decoder.segment, 1);
  });
});
