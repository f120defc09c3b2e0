import type { FieldView, RegisterView } from "../devices/device";
import {
  EsrBit,
  Lvt,
  decodeIcr,
  decodeLvt,
  decodeRedirection,
  decodeSvr,
  lvtNames,
  timerDivisor,
  type IcrFields,
  type LvtFields,
  type ModeField,
  type MsiFields,
  type RedirectionFields,
} from "./fields";

const modeTexts: Readonly<Record<ModeField, string>> = {
  fixed: "Fixed",
  lowpri: "Lowest priority",
  smi: "SMI",
  nmi: "NMI",
  init: "INIT",
  sipi: "Start-up",
  extint: "ExtINT",
  reserved: "Reserved",
};

/** A number as hexadecimal with 0x, padded to whole bytes. */
export function hex(value: number | bigint, digits = 2): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** A delivery mode in words. */
export function modeText(mode: ModeField): string {
  return modeTexts[mode];
}

function modeAndVector(mode: ModeField, vector: number): string {
  switch (mode) {
    case "fixed":
    case "lowpri":
      return `${modeTexts[mode]}, vector ${hex(vector)}`;
    case "sipi":
      return `Start-up at ${hex(vector * 4096, 5)}`;
    case "smi":
    case "nmi":
    case "init":
    case "extint":
    case "reserved":
      return modeTexts[mode];
  }
}

/** What an ICR value sends, in words. */
export function icrText(fields: IcrFields): string {
  const to = {
    none: `to ${fields.destinationMode} ${hex(fields.destination)}`,
    self: "to itself",
    all: "to all CPUs",
    others: "to all other CPUs",
  }[fields.shorthand];
  return `${modeAndVector(fields.mode, fields.vector)}, ${to}`;
}

/** What an LVT entry does, in words. */
export function lvtText(fields: LvtFields): string {
  const parts = [modeAndVector(fields.mode, fields.vector)];
  if (fields.timerMode !== undefined) parts.push(fields.timerMode);
  if (fields.trigger === "level") parts.push("level");
  if (fields.activeLow) parts.push("active low");
  if (fields.remoteIrr) parts.push("remote IRR");
  if (fields.masked) parts.push("masked");
  return parts.join(", ");
}

/** What a redirection entry does, in words. */
export function redirectionText(fields: RedirectionFields): string {
  const parts = [modeAndVector(fields.mode, fields.vector), `to ${fields.destinationMode} ${hex(fields.destination)}`, fields.trigger];
  if (fields.activeLow) parts.push("active low");
  if (fields.remoteIrr) parts.push("remote IRR");
  if (fields.pending) parts.push("send pending");
  if (fields.masked) parts.push("masked");
  return parts.join(", ");
}

/** What an MSI sends, in words. */
export function msiText(fields: MsiFields): string {
  const hint = fields.redirect ? ", redirectable" : "";
  return `${modeAndVector(fields.mode, fields.vector)}, to ${fields.destinationMode} ${hex(fields.destination)}, ${fields.trigger}${hint}`;
}

const esrTexts: readonly (readonly [number, string])[] = [
  [EsrBit.redirectableIpi, "Redirectable IPI"],
  [EsrBit.sendIllegalVector, "Send illegal vector"],
  [EsrBit.receiveIllegalVector, "Receive illegal vector"],
  [EsrBit.illegalRegister, "Illegal register address"],
];

/** The errors in an ESR value, in words. */
export function esrText(value: number): string {
  const found = esrTexts.filter(([bit]) => value & bit).map(([, text]) => text);
  return found.length === 0 ? "no error" : found.join(", ");
}

function field(name: string, bits: string, raw: number, text?: string): FieldView {
  const [high, low = high] = bits.split(":").map(Number);
  const value = BigInt((raw >>> low) & (2 ** (high - low + 1) - 1)) & 0xffffffffn;
  return { name, bits, value, ...(text === undefined ? {} : { text }) };
}

/** The same for a field of the upper half of a 64-bit register: `bits` as in the whole register. */
function highField(name: string, bits: string, high: number, text?: string): FieldView {
  const [top, bottom = top] = bits.split(":").map(Number);
  return { ...field(name, `${top - 32}:${bottom - 32}`, high, text), bits };
}

const yesNo = (flag: boolean): string => (flag ? "yes" : "no");

/** Decoded fields of a 64-bit ICR, in the manual's order. */
export function icrFields(value: bigint, x2apic: boolean): FieldView[] {
  const low = Number(value & 0xffffffffn);
  const high = Number(value >> 32n);
  const icr = decodeIcr(low, high, x2apic);
  return [
    field("Vector", "7:0", low, icr.mode === "sipi" ? hex(icr.vector * 4096, 5) : hex(icr.vector)),
    field("Delivery Mode", "10:8", low, modeText(icr.mode)),
    field("Destination Mode", "11", low, icr.destinationMode),
    ...(x2apic ? [] : [field("Delivery Status", "12", low, icr.pending ? "send pending" : "idle")]),
    field("Level", "14", low, icr.assert ? "assert" : "de-assert"),
    field("Trigger Mode", "15", low, icr.trigger),
    field("Destination Shorthand", "19:18", low, { none: "none", self: "self", all: "all", others: "all but self" }[icr.shorthand]),
    highField("Destination", x2apic ? "63:32" : "63:56", high, hex(icr.destination, x2apic ? 8 : 2)),
  ];
}

/** Decoded fields of LVT entry `index`. */
export function lvtFields(index: number, value: number): FieldView[] {
  const lvt = decodeLvt(index, value);
  const lint = index === Lvt.lint0 || index === Lvt.lint1;
  const list = [field("Vector", "7:0", value, hex(lvt.vector))];
  if (index !== Lvt.timer && index !== Lvt.error) list.push(field("Delivery Mode", "10:8", value, modeText(lvt.mode)));
  list.push(field("Delivery Status", "12", value, lvt.pending ? "send pending" : "idle"));
  if (lint) {
    list.push(field("Pin Polarity", "13", value, lvt.activeLow ? "active low" : "active high"));
    list.push(field("Remote IRR", "14", value, yesNo(lvt.remoteIrr)));
    list.push(field("Trigger Mode", "15", value, lvt.trigger));
  }
  list.push(field("Mask", "16", value, lvt.masked ? "masked" : "not masked"));
  if (lvt.timerMode !== undefined) list.push(field("Timer Mode", "18:17", value, lvt.timerMode));
  return list;
}

/** Decoded fields of a 64-bit redirection entry. */
export function redirectionFields(value: bigint): FieldView[] {
  const low = Number(value & 0xffffffffn);
  const high = Number(value >> 32n);
  const entry = decodeRedirection(low, high);
  return [
    field("Vector", "7:0", low, hex(entry.vector)),
    field("Delivery Mode", "10:8", low, modeText(entry.mode)),
    field("Destination Mode", "11", low, entry.destinationMode),
    field("Delivery Status", "12", low, entry.pending ? "send pending" : "idle"),
    field("Pin Polarity", "13", low, entry.activeLow ? "active low" : "active high"),
    field("Remote IRR", "14", low, yesNo(entry.remoteIrr)),
    field("Trigger Mode", "15", low, entry.trigger),
    field("Mask", "16", low, entry.masked ? "masked" : "not masked"),
    highField("Destination", "63:56", high, hex(entry.destination)),
  ];
}

function vectorList(name: string, value: bigint): RegisterView {
  const fields: FieldView[] = [];
  for (let vector = 0; vector < 256; vector++)
    if ((value >> BigInt(vector)) & 1n)
      fields.push({ name: hex(vector), bits: String(vector), value: 1n, text: `priority class ${vector >> 4}` });
  const text = fields.length === 0 ? "none" : fields.map((item) => item.name).join(", ");
  return { name, value, bits: 256, fields, text };
}

/** What {@link localApicViews} shows. `value` gives a 32-bit register by number (MMIO offset / 16). */
export interface LocalApicValues {
  readonly x2apic: boolean;
  value(register: number): number;
  readonly icr: bigint;
  readonly lvt: Uint32Array;
  readonly isr: bigint;
  readonly tmr: bigint;
  readonly irr: bigint;
  readonly base: bigint;
}

/** The registers of a local APIC by their public names, decoded, in the manual's order. */
export function localApicViews(apic: LocalApicValues): RegisterView[] {
  const { x2apic } = apic;
  const register = (name: string, number: number, fields: (raw: number) => FieldView[], text?: string): RegisterView => {
    const raw = apic.value(number);
    return { name, value: BigInt(raw), bits: 32, fields: fields(raw), ...(text === undefined ? {} : { text }) };
  };
  const priority = (raw: number): FieldView[] => [field("Sub-class", "3:0", raw), field("Priority Class", "7:4", raw)];
  const tdcr = apic.value(0x3e);
  const svr = decodeSvr(apic.value(0x0f));
  const dfr = apic.value(0x0e) >>> 28;
  const dfrText = dfr === 15 ? "flat" : dfr === 0 ? "cluster" : "reserved";
  const enabled = (apic.base & 0x800n) !== 0n;
  const mode = !enabled ? "disabled" : x2apic ? "x2APIC" : "xAPIC";
  return [
    register("ID", 0x02, (raw) => [
      x2apic ? field("x2APIC ID", "31:0", raw, String(raw)) : field("APIC ID", "31:24", raw, String(raw >>> 24)),
    ]),
    register("VER", 0x03, (raw) => [
      field("Version", "7:0", raw, hex(raw & 0xff)),
      field("Max LVT Entry", "23:16", raw, `${((raw >>> 16) & 0xff) + 1} entries`),
      field("EOI-broadcast Suppression", "24", raw, raw & 0x1000000 ? "supported" : "not supported"),
    ]),
    register("TPR", 0x08, priority),
    register("APR", 0x09, priority),
    register("PPR", 0x0a, priority),
    register("LDR", 0x0d, (raw) =>
      x2apic
        ? [field("Cluster", "31:16", raw), field("Logical ID", "15:0", raw, hex(raw & 0xffff, 4))]
        : [field("Logical APIC ID", "31:24", raw, hex(raw >>> 24))],
    ),
    register("DFR", 0x0e, (raw) => [field("Model", "31:28", raw, dfrText)], x2apic ? "not used in x2APIC mode" : dfrText),
    register(
      "SVR",
      0x0f,
      (raw) => [
        field("Spurious Vector", "7:0", raw, hex(svr.vector)),
        field("APIC Software Enable", "8", raw, svr.enabled ? "enabled" : "disabled"),
        field("Focus Processor Checking", "9", raw, svr.focusCheckingDisabled ? "disabled" : "enabled"),
        field("EOI-broadcast Suppression", "12", raw, svr.eoiBroadcastSuppressed ? "suppressed" : "broadcast"),
      ],
      `${svr.enabled ? "enabled" : "software-disabled"}, spurious vector ${hex(svr.vector)}`,
    ),
    register(
      "ESR",
      0x28,
      (raw) => [
        field("Redirectable IPI", "4", raw),
        field("Send Illegal Vector", "5", raw),
        field("Receive Illegal Vector", "6", raw),
        field("Illegal Register Address", "7", raw),
      ],
      esrText(apic.value(0x28)),
    ),
    {
      name: "ICR",
      value: apic.icr,
      bits: 64,
      fields: icrFields(apic.icr, x2apic),
      text: icrText(decodeIcr(Number(apic.icr & 0xffffffffn), Number(apic.icr >> 32n), x2apic)),
    },
    ...lvtNames.map((name, index) => ({
      name: `LVT ${name}`,
      value: BigInt(apic.lvt[index]),
      bits: 32,
      fields: lvtFields(index, apic.lvt[index]),
      text: lvtText(decodeLvt(index, apic.lvt[index])),
    })),
    register("TMICT", 0x38, (raw) => [field("Initial Count", "31:0", raw, String(raw))]),
    register("TMCCT", 0x39, (raw) => [field("Current Count", "31:0", raw, String(raw))]),
    register("TDCR", 0x3e, (raw) => [field("Divide Value", "3:0", raw, `by ${timerDivisor(raw)}`)], `divide by ${timerDivisor(tdcr)}`),
    vectorList("ISR", apic.isr),
    vectorList("TMR", apic.tmr),
    vectorList("IRR", apic.irr),
    {
      name: "APIC_BASE",
      value: apic.base,
      bits: 64,
      fields: [
        { name: "BSP", bits: "8", value: (apic.base >> 8n) & 1n, text: yesNo((apic.base & 0x100n) !== 0n) },
        { name: "x2APIC Enable", bits: "10", value: (apic.base >> 10n) & 1n, text: yesNo((apic.base & 0x400n) !== 0n) },
        { name: "Global Enable", bits: "11", value: (apic.base >> 11n) & 1n, text: yesNo(enabled) },
        { name: "Base Address", bits: "63:12", value: apic.base >> 12n, text: hex(apic.base & ~0xfffn, 8) },
      ],
      text: `${mode} at ${hex(apic.base & ~0xfffn, 8)}`,
    },
  ];
}
