import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  decodeIcr,
  decodeLvt,
  decodeRedirection,
  encodeIcr,
  encodeLvt,
  encodeRedirection,
  lvtNames,
  lvtReadOnly,
  lvtWritable,
  timerDivisor,
  x2apicLogicalId,
} from "../../src/apic/fields";
import { icrText, lvtText, redirectionText } from "../../src/apic/registerViews";
import { generator } from "./harness";

describe("decode and encode agree", () => {
  const random = generator(1);

  test("ICR", () => {
    for (let count = 0; count < 2000; count++) {
      const low = random() & 0xcdfff;
      for (const x2apic of [false, true]) {
        const kept = x2apic ? low & ~0x1000 : low;
        const high = x2apic ? random() : (random() & 0xff000000) >>> 0;
        assert.equal(encodeIcr(decodeIcr(kept, high, x2apic), x2apic), (BigInt(high) << 32n) | BigInt(kept));
      }
    }
  });

  test("LVT entries and redirection entries with valid modes", () => {
    for (let count = 0; count < 2000; count++) {
      for (const index of lvtNames.keys()) {
        const value = random() & (lvtWritable[index] | lvtReadOnly[index]);
        const fields = decodeLvt(index, value);
        if (fields.mode !== "reserved") assert.equal(encodeLvt(index, fields), value);
      }
      const low = random() & 0x1ffff;
      const high = (random() & 0xff000000) >>> 0;
      const fields = decodeRedirection(low, high);
      if (fields.mode !== "reserved") assert.equal(encodeRedirection(fields), (BigInt(high) << 32n) | BigInt(low));
    }
  });
});

test("texts", () => {
  assert.equal(icrText(decodeIcr(0x4608, 0x01000000, false)), "Start-up at 0x08000, to physical 0x01");
  assert.equal(icrText(decodeIcr(0xc4400, 0, false)), "NMI, to all other CPUs");
  assert.equal(icrText(decodeIcr(0x4940, 0x10003, true)), "Lowest priority, vector 0x40, to logical 0x10003");
  assert.equal(lvtText(decodeLvt(1, 0x600ec)), "Fixed, vector 0xec, reserved");
  assert.equal(lvtText(decodeLvt(1, 0x400ec)), "Fixed, vector 0xec, tsc-deadline");
  assert.equal(lvtText(decodeLvt(4, 0x10700)), "ExtINT, masked");
  assert.equal(redirectionText(decodeRedirection(0x10000, 0)), "Fixed, vector 0x00, to physical 0x00, edge, masked");
});

test("divisors and logical x2APIC ids", () => {
  assert.deepEqual(
    [0, 1, 2, 3, 8, 9, 10, 11].map((code) => timerDivisor(code)),
    [2, 4, 8, 16, 32, 64, 128, 1],
  );
  assert.equal(x2apicLogicalId(0xff), 0x000f8000);
  assert.equal(x2apicLogicalId(0x12345), 0x12340020);
});
