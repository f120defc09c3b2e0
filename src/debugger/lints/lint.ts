import { placeText } from "../diagnosis/causes";
import type { SymbolStore } from "../symbols/table";

/** What guests do wrong with their interrupts, as far as it can be seen from outside. */
export const lintKinds = [
  "missing-eoi",
  "eoi-nothing-in-service",
  "eoi-in-spurious-handler",
  "pic-eoi",
  "vector-below-16",
  "ipi-to-nobody",
  "icr-not-polled",
  "edge-lost",
  "coalesced",
  "trigger-mismatch",
  "lapic-disabled",
  "gate-not-present",
  "nmi-stack",
] as const;
export type LintKind = (typeof lintKinds)[number];

/** `warning`: a mistake. `note`: happens in correct guests too, and is worth knowing. */
export type LintSeverity = "warning" | "note";

/** One mistake at one place: repeated findings count up. */
export interface Lint {
  readonly kind: LintKind;
  readonly severity: LintSeverity;
  /** Index of the CPU concerned, -1 for none. */
  readonly cpu: number;
  /** Vector concerned, -1 for none. */
  readonly vector: number;
  /** Linear address of the instruction that did it, or of the handler; 0n when no instruction did. */
  readonly address: bigint;
  /** Instructions retired by the machine, and virtual time in nanoseconds, at the first finding. */
  readonly instruction: number;
  readonly time: number;
  /** What was seen, one sentence. */
  readonly text: string;
  /** What to do about it, one sentence. */
  readonly advice: string;
  /** Id of the interrupt's record, 0 for none. */
  readonly record: number;
  /** How often it was found. */
  readonly count: number;
}

export type Finding = Pick<Lint, "kind" | "cpu" | "vector" | "address" | "text" | "record"> & { readonly instruction?: number };

export const lintAdvice: Readonly<Record<LintKind, string>> = {
  "missing-eoi":
    "Write EOI to the local APIC before the handler's IRET: until then no interrupt of its priority class or below gets through.",
  "eoi-nothing-in-service": "Write EOI once for each delivered vector, and not for exceptions, NMI, SMI, ExtINT or the spurious vector.",
  "eoi-in-spurious-handler":
    "Return from the spurious vector's handler without an EOI: it has no bit in ISR, and the EOI ends another interrupt.",
  "pic-eoi": "Write EOI to the local APIC at offset 0xb0 (or MSR 0x80b), not to the 8259: the interrupt came through the local APIC.",
  "vector-below-16": "Use a vector from 16 to 255 (32 and above, as the first 32 are exceptions).",
  "ipi-to-nobody":
    "Check the destination: APIC ids come from the MADT, and are not CPU numbers; a logical destination needs LDR and DFR set up.",
  "icr-not-polled": "Wait until the delivery status (bit 12 of ICR) is 0 before ICR is written again in xAPIC mode.",
  "edge-lost":
    "Mask a level-triggered line instead, or let the device raise its interrupt again after the pin is unmasked: edges on a masked pin are lost.",
  coalesced: "Handle everything that waits at each interrupt: two edges of one vector that is pending make one interrupt.",
  "trigger-mismatch": "Give level- and edge-triggered sources vectors of their own: TMR has one bit for each vector.",
  "lapic-disabled": "Set bit 11 of IA32_APIC_BASE and bit 8 of SVR before the local APIC is used.",
  "gate-not-present": "Install a present interrupt gate for the vector before its source is unmasked.",
  "nmi-stack": "Give NMI an IST stack of its own that no other handler uses, in mapped memory.",
};

const severities: Partial<Readonly<Record<LintKind, LintSeverity>>> = { coalesced: "note", "icr-not-polled": "note" };

/** A lint in one line, with its place. */
export function lintText(lint: Lint, symbols: SymbolStore): string {
  const place = lint.address === 0n ? "" : `, ${placeText(symbols, lint.address)}`;
  const times = lint.count > 1 ? `, ${lint.count} times` : "";
  return `${lint.kind}: ${lint.text} (instruction ${lint.instruction}${place}${times})`;
}

/** Lints kept; further ones are counted only. */
const maximumLints = 10_000;

/** The findings of a session, without repeats. */
export class LintList {
  private readonly byKey = new Map<string, { -readonly [K in keyof Lint]: Lint[K] }>();
  /** Findings of new kinds or at new places that no longer fitted. */
  dropped = 0;

  constructor(
    private readonly clock: { instructions(): number; now(): number },
    private readonly onFound: (lint: Lint, isNew: boolean) => void,
  ) {}

  get all(): readonly Lint[] {
    return [...this.byKey.values()];
  }

  /** Adds a finding, or counts it where the same was found before at the same place. */
  add(finding: Finding): void {
    const { kind, cpu, vector, address } = finding;
    const key = `${kind} ${cpu} ${vector} ${address}`;
    const known = this.byKey.get(key);
    if (known !== undefined) {
      known.count++;
      return this.onFound(known, false);
    }
    if (this.byKey.size >= maximumLints) {
      this.dropped++;
      return;
    }
    const lint: Lint = {
      ...finding,
      severity: severities[kind] ?? "warning",
      instruction: finding.instruction ?? this.clock.instructions(),
      time: this.clock.now(),
      advice: lintAdvice[kind],
      count: 1,
    };
    this.byKey.set(key, lint);
    this.onFound(lint, true);
  }

  /** Takes down what was found. Returns what brings it back. */
  save(): () => void {
    const found = [...this.byKey].map(([key, lint]) => [key, { ...lint }] as const);
    const { dropped } = this;
    return () => {
      this.byKey.clear();
      for (const [key, lint] of found) this.byKey.set(key, { ...lint });
      this.dropped = dropped;
    };
  }

  clear(): void {
    this.byKey.clear();
    this.dropped = 0;
  }
}
