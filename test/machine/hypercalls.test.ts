/** VMCALL: #UD, but on machines with the PC test device, where test kernels expect a hypervisor to answer. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DATA, testGuest } from "./testGuest";

const VMCALL = [0x0f, 0x01, 0xc1] as const;
const testdev = { devices: ["testdev"] };

describe("VMCALL", () => {
  test("is undefined where nothing answers it", () => {
    const guest = testGuest((code) => {
      code
        .label("cpu0")
        .bytes(...VMCALL)
        .hlt();
      code.label("vector6").exit();
    });
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map(({ vector, rip }) => [vector, rip]),
      [[6, guest.code.at("cpu0")]],
    );
  });

  test("of an unknown number gives -1000", () => {
    const guest = testGuest((code) => {
      code
        .label("cpu0")
        .mov("rax", 0x1234)
        .bytes(...VMCALL)
        .store(DATA, "rax")
        .exit();
    }, testdev);
    guest.finish();
    assert.equal(guest.read32(DATA) | 0, -1000);
  });

  test("number 10 sends an IPI to the CPUs of a map of APIC ids", () => {
    const vector = 0x61;
    const guest = testGuest(
      (code) => {
        code.label("cpu0").sti().mov("rax", 10).mov("rbx", 0b11).mov("rcx", 0).mov("rdx", 0).mov("rsi", vector);
        code.bytes(...VMCALL).store(DATA, "rax");
        code.mov("rbx", 0xfee0_0000).nop();
        code
          .label("wait")
          .compare(DATA + 8, 2)
          .jcc("nz", "wait")
          .exit();
        code.label("cpu1").sti().label("idle").hlt().jmp("idle");
        // LOCK INC dword [DATA + 8], then the end of interrupt.
        code
          .label(`vector${vector}`)
          .bytes(0xf0)
          .inc(DATA + 8);
        code.bytes(0x53).mov("rbx", 0xfee0_0000).apicWrite(0xb0, 0).bytes(0x5b).iretq();
      },
      { ...testdev, cpus: 2 },
    );
    guest.finish();
    assert.equal(guest.read32(DATA), 2, "CPUs that accepted it");
    assert.deepEqual(
      guest.deliveries
        .filter((delivery) => delivery.vector === vector)
        .map(({ cpu }) => cpu)
        .sort(),
      [0, 1],
    );
  });

  test("number 10 counts from the first APIC id, and refuses SMIs", () => {
    const guest = testGuest((code) => {
      code.label("cpu0").mov("rax", 10).mov("rbx", 1).mov("rcx", 0).mov("rdx", 1).mov("rsi", 0x61);
      code.bytes(...VMCALL).store(DATA, "rax");
      code
        .mov("rax", 10)
        .mov("rsi", 0x200)
        .bytes(...VMCALL)
        .store(DATA + 8, "rax")
        .exit();
    }, testdev);
    guest.finish();
    assert.equal(guest.read32(DATA), 0);
    assert.equal(guest.read32(DATA + 8) | 0, -22);
  });
});

test("VMMCALL is AMD's: VMCALL is undefined there", () => {
  const guest = testGuest(
    (code) => {
      code.label("cpu0").mov("rax", 0x1234).bytes(0x0f, 0x01, 0xd9).store(DATA, "rax");
      code.label("vmcall").bytes(...VMCALL);
      code.label("vector6").exit();
    },
    { ...testdev, cpuModel: "max,vendor=amd" },
  );
  guest.finish();
  assert.equal(guest.read32(DATA) | 0, -1000);
  assert.deepEqual(
    guest.deliveries.map(({ rip }) => rip),
    [guest.code.at("vmcall")],
  );
});
