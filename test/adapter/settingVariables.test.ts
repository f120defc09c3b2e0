// Values that do not fit where a person puts them: refused with the field, the value and the range, and nothing is changed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { suiteServer, atFirstIpi, type Client } from "./harness";

describe("setting values", () => {
  const server = suiteServer();

  const stopped = (body: (client: Client) => Promise<void>): Promise<void> => atFirstIpi(server.port, body);

  test("what does not fit is refused by name, value and range, and changes nothing", { timeout: 480_000 }, () =>
    stopped(async (client) => {
      const frameId = (await client.stack(2))[0].id;
      const cases: [target: string, value: string, answer: string][] = [
        ["lapic.tpr", "300", "300 (0x12c) does not fit in TPR, which takes 0 to 255 (0xff)."],
        ["lapic.tpr", "-1", "-1 does not fit in TPR, which takes 0 to 255 (0xff)."],
        ["lapic.tmict", "0x100000000", "0x100000000 does not fit in TMICT, which takes 0 to 4294967295 (0xffffffff)."],
        ["lapic.svr", "0x80ff", "33023 (0x80ff) does not fit in SVR: its bits 0x8000 cannot be set, only those of 0x13ff can."],
        ["lapic.id", "5", "5 does not fit in ID: its bits 0x5 cannot be set, only those of 0xff000000 can."],
        ["lapic.icr", "-1", "-1 does not fit in ICR, which takes 0 to 0xffffffffffffffff."],
        ["lapic.apic_base", "0xfee00003", "4276092931 (0xfee00003) does not fit in APIC_BASE: its bits 0x3 cannot be set"],
        ["eax", "0x100000000", "0x100000000 does not fit in eax, which takes -2147483648 (-0x80000000) to 4294967295 (0xffffffff)."],
        ["al", "-129", "-129 (-0x81) does not fit in al, which takes -128 (-0x80) to 255 (0xff)."],
        ["cr0", "0x100000000", "0x100000000 does not fit in cr0, which takes 0 to 4294967295 (0xffffffff)."],
        ["cr3", "-1", "-1 does not fit in cr3, which takes 0 to 0xfffffffffffff."],
        ["cr8", "16", "16 (0x10) does not fit in cr8, which takes 0 to 15 (0xf)."],
        ["cr8", "-1", "-1 does not fit in cr8, which takes 0 to 15 (0xf)."],
        ["mxcsr", "0x10000", "65536 (0x10000) does not fit in mxcsr, which takes 0 to 65535 (0xffff)."],
        ["u8[0x200000]", "256", "256 (0x100) does not fit in u8[0x200000], which takes -128 (-0x80) to 255 (0xff)."],
        ["u8[0x200000]", ":= 300", "300 (0x12c) does not fit in u8[0x200000], which takes -128 (-0x80) to 255 (0xff)."],
        ["mem16(0x200000)", "65536", "65536 (0x10000) does not fit in mem16(0x200000)"],
        ["*(u8*)0x200000", "-129", "-129 (-0x81) does not fit in *(u8*)0x200000"],
      ];
      for (const [expression, value, answer] of cases) {
        const old = await client.evaluate(expression, 2, "watch");
        const said = await client.refused("setExpression", { expression, value, frameId });
        assert.ok(said.startsWith(answer), said);
        if (value.startsWith(":=")) continue;
        const line = await client.refused("evaluate", { expression: `${expression} = ${value}`, frameId, context: "repl" });
        assert.equal(line, said);
        assert.equal(await client.evaluate(expression, 2, "watch"), old);
      }
      // What fits, signed or unsigned, is set.
      for (const [expression, value, result] of [
        ["lapic.tpr", "0xff", "0xff"],
        ["lapic.tpr", "0", "0x0"],
        ["rax", "-1", "0xffffffffffffffff"],
        ["ax", "-32768", "0x8000"],
        ["u8[0x200000]", "-1", "0xff"],
        ["u8[0x200000]", "0xff", "0xff"],
      ]) {
        const set = (await client.ask("setExpression", { expression, value, frameId })) as { value: string };
        assert.equal(set.value, result, `${expression} = ${value}`);
      }
    }),
  );

  test("in the variables view too: registers, their fields, lanes of vectors and the x87 unit", { timeout: 480_000 }, () =>
    stopped(async (client) => {
      const child = async (reference: number, name: string): Promise<number> => {
        const { variables } = (await client.dap.variablesRequest({ variablesReference: reference })).body;
        return variables.find((variable) => variable.name === name)?.variablesReference ?? 0;
      };
      const [registers, apic, ioApic, system] = await Promise.all(
        ["Registers", "Local APIC", "I/O APIC", "System"].map(async (name) => (await client.scope(2, name)).reference),
      );
      const xmm0 = await child(await child(registers, "xmm"), "xmm0");
      const cases: [reference: number, name: string, value: string, answer: RegExp][] = [
        [apic, "TPR", "300", /^300 \(0x12c\) does not fit in TPR, which takes 0 to 255 \(0xff\)\.$/],
        [
          apic,
          "LVT Timer",
          "0xffffffff",
          /^4294967295 .* does not fit in LVT Timer: its bits 0xfff8ef00 cannot be set, only those of 0x710ff can\.$/,
        ],
        [apic, "TDCR", "4", /^4 does not fit in TDCR: its bits 0x4 cannot be set, only those of 0xb can\.$/],
        [apic, "IRR", "5", /^Vectors go from 16 \(0x10\) to 255 \(0xff\): 5 does not exist\.$/],
        [apic, "APIC_BASE", "0xfee00400", /^APIC_BASE cannot be 4276093952 \(0xfee00400\): there is no such state/],
        [ioApic, "IOREGSEL", "256", /^256 \(0x100\) does not fit in IOREGSEL, which takes 0 to 255 \(0xff\)\.$/],
        [ioApic, "IOAPICID", "0x55", /^85 \(0x55\) does not fit in IOAPICID: its bits 0x55 cannot be set, only those of 0xf000000 can\.$/],
        [ioApic, "IOREDTBL0", "1 << 40", /does not fit in IOREDTBL0: its bits 0x10000000000 cannot be set/],
        [await child(registers, "rflags"), "IOPL", "4", /^4 does not fit in IOPL, which takes 0 to 3\.$/],
        [await child(registers, "x87"), "fop", "0x900", /^2304 \(0x900\) does not fit in fop, which takes 0 to 2047 \(0x7ff\)\.$/],
        [await child(registers, "x87"), "fctrl", "-1", /^-1 does not fit in fctrl, which takes 0 to 65535 \(0xffff\)\.$/],
        [await child(xmm0, "v16_int8"), "[3]", "256", /^256 \(0x100\) does not fit in v16_int8\[3\], which takes -128 \(-0x80\) to 255/],
        [
          await child(xmm0, "v4_float"),
          "[0]",
          "1e39",
          /^1e39 does not fit in v4_float\[0\], a float, which takes -3\.40\d*e\+38 to 3\.40\d*e\+38\.$/,
        ],
        [system, "CR8", "16", /^16 \(0x10\) does not fit in cr8, which takes 0 to 15 \(0xf\)\.$/],
      ];
      for (const [variablesReference, name, value, answer] of cases) {
        const find = async (): Promise<string | undefined> =>
          (await client.dap.variablesRequest({ variablesReference })).body.variables.find((variable) => variable.name === name)?.value;
        const old = await find();
        assert.notEqual(old, undefined, name);
        assert.match(await client.refused("setVariable", { variablesReference, name, value }), answer);
        assert.equal(await find(), old, name);
      }
      // A register's own value, reserved bits and all, may be put back.
      for (const name of ["DFR", "SVR", "ICR", "LVT LINT0", "APIC_BASE"]) {
        const raw = (await client.value(2, "Local APIC", name)).split(" ")[0];
        await client.dap.setVariableRequest({ variablesReference: apic, name, value: raw });
        assert.ok((await client.value(2, "Local APIC", name)).startsWith(raw), name);
      }
    }),
  );

  test("variables of the program take what their type holds", { timeout: 480_000 }, () =>
    stopped(async (client) => {
      const stack = await client.stack(1);
      const level = stack.findIndex(({ name }) => name === "run_tests");
      const { reference, variables } = await client.scope(1, "Locals", level);
      const found = variables.filter(({ type, value }) => type === "u32" && /^\d+$/.test(value));
      const frameId = stack[level].id;
      assert.ok(found.length > 0, variables.map(({ name, type, value }) => `${name}: ${type} = ${value}`).join());
      const said = await client.refused("setVariable", { variablesReference: reference, name: found[0].name, value: "1 << 40" });
      assert.match(said, new RegExp(`^0x10000000000 does not fit in ${found[0].name}, which takes -2147483648 .* to 4294967295 `));
      assert.match(await client.refused("setExpression", { expression: found[0].name, value: "1 << 40", frameId }), /does not fit in/);
    }),
  );
});
