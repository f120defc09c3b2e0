import type { InterruptEvent, InterruptRecord, Stage } from "../../apic/events";
import { hex } from "../numbers";
import { exceptionName } from "../words";
import { isException } from "../exceptionLog";
import type { StatementFactory } from "./statement";

/** Deliveries that a statement is about. */
export interface Where {
  readonly vector: number;
  /** Index of the one CPU, undefined for all. */
  readonly cpu: number | undefined;
}

const isAbout = ({ vector, cpu }: Where, event: InterruptEvent): boolean =>
  event.record.vector === vector &&
  (cpu === undefined || cpu === event.cpu) &&
  (event.record.mode === "fixed" || event.record.mode === "lowpri");

function instructionOf(record: InterruptRecord, stage: Stage): number | undefined {
  return record.stages.find((stamp) => stamp.stage === stage)?.instruction;
}

/** Each delivery reaches `stage` within `count` instructions of its CPU. */
export const followedBy =
  (stage: "eoi" | "return", where: Where, count: number): StatementFactory =>
  (context, broken) => {
    /** Deliveries that wait, by record: CPU, and what it had retired. */
    const open = new Map<number, { readonly cpu: number; readonly retired: number }>();
    const what = stage === "eoi" ? "EOI" : "the handler's return";
    const complain = (id: number, cpu: number, spent: number, end: boolean): void =>
      broken({
        text: `vector ${hex(where.vector, 2)} on CPU ${cpu} ${end ? "had not reached" : "reached"} ${what} ${spent} instructions after its delivery`,
        record: context.record(id),
      });
    return {
      interrupt: (event) => {
        if (!isAbout(where, event)) return;
        const { id } = event.record;
        if (event.stage === "deliver") open.set(id, { cpu: event.cpu, retired: context.retired(event.cpu) });
        if (event.stage === "drop") open.delete(id);
        const waiting = event.stage === stage ? open.get(id) : undefined;
        if (waiting === undefined) return;
        open.delete(id);
        const spent = context.retired(waiting.cpu) - waiting.retired;
        if (spent > count) complain(id, waiting.cpu, spent, false);
      },
      finish: () => {
        for (const [id, { cpu, retired }] of open) {
          const spent = context.retired(cpu) - retired;
          if (spent > count) complain(id, cpu, spent, true);
        }
      },
    };
  };

/** Each delivery comes within `count` instructions of the machine after its acceptance. */
export const deliveredWithin =
  (where: Where, count: number): StatementFactory =>
  (context, broken) => {
    const open = new Map<number, { readonly cpu: number; readonly instruction: number }>();
    return {
      interrupt: (event) => {
        if (!isAbout(where, event)) return;
        const { record, cpu } = event;
        const accepted = instructionOf(record, "accept");
        if (event.stage === "accept" && accepted !== undefined && record.coalescedInto === undefined)
          open.set(record.id, { cpu, instruction: accepted });
        if (event.stage === "drop" || event.stage === "deliver") open.delete(record.id);
        const delivered = instructionOf(record, "deliver");
        if (event.stage !== "deliver" || accepted === undefined || delivered === undefined || delivered - accepted <= count) return;
        broken({
          text: `vector ${hex(where.vector, 2)} was delivered to CPU ${cpu} ${delivered - accepted} instructions after its acceptance`,
          record,
        });
      },
      finish: () => {
        for (const [id, { cpu, instruction }] of open) {
          const spent = context.instructions() - instruction;
          if (spent > count)
            broken({
              text: `vector ${hex(where.vector, 2)} was not delivered to CPU ${cpu} in ${spent} instructions`,
              record: context.record(id),
            });
        }
      },
    };
  };

/** The number of deliveries; of all CPUs together, or of one. */
export const deliveredTimes =
  (where: Where, bound: "least" | "most", count: number): StatementFactory =>
  (_context, broken) => {
    let times = 0;
    return {
      interrupt: (event) => {
        if (event.stage === "deliver" && isAbout(where, event)) times++;
      },
      finish: () => {
        if (bound === "least" ? times < count : times > count)
          broken({ text: `vector ${hex(where.vector, 2)} was delivered ${times} times` });
      },
    };
  };

/** A CPU, or every one, starts within so many nanoseconds of virtual time. */
export const startsWithin =
  (cpu: number | undefined, nanoseconds: number): StatementFactory =>
  (context, broken) => {
    const started = new Map([[0, 0]]);
    return {
      cpuStarted: (index) => void (started.has(index) || started.set(index, context.now())),
      finish: () => {
        const wanted = cpu === undefined ? Array.from({ length: context.cpus }, (_, index) => index) : [cpu];
        for (const index of wanted) {
          const at = started.get(index);
          if (index >= context.cpus) broken({ text: `there is no CPU ${index}: the machine has ${context.cpus}` });
          else if (at === undefined) broken({ text: `CPU ${index} never started` });
          else if (at > nanoseconds) broken({ text: `CPU ${index} started after ${(at / 1e6).toFixed(3)} ms` });
        }
      },
    };
  };

export const noLint =
  (kind: string | undefined): StatementFactory =>
  (context, broken) => ({
    lint: (lint) => {
      if (kind === undefined ? lint.severity === "warning" : lint.kind === kind)
        broken({ text: `${lint.kind}: ${lint.text}`, record: lint.record === 0 ? undefined : context.record(lint.record) });
    },
  });

export const noDrop =
  (vector: number | undefined): StatementFactory =>
  (_context, broken) => ({
    interrupt: ({ stage, record }) => {
      if (stage === "drop" && (vector === undefined || record.vector === vector))
        broken({ text: `${record.source}, vector ${hex(record.vector, 2)}, was dropped: ${record.dropReason ?? ""}`, record });
    },
  });

export const noStorm = (): StatementFactory => (_context, broken) => ({
  storm: ({ cpu, vector, source, deliveries, instructions, record }) =>
    broken({
      text: `${source}, vector ${hex(vector, 2)}, interrupted CPU ${cpu} ${deliveries} times within ${instructions} instructions`,
      record,
    }),
});

export const noException =
  (vector: number | undefined): StatementFactory =>
  (_context, broken) => ({
    exception: (cpu, event) => {
      if (isException(event) && (vector === undefined || event.vector === vector))
        broken({ text: `${exceptionName(event.vector)} at CPU ${cpu}, RIP ${hex(event.rip, 16)}` });
    },
  });

/** IF stays clear at most so many instructions of the CPU at a stretch. */
export const maskedAtMost =
  (cpu: number | undefined, count: number): StatementFactory =>
  (context, broken) => {
    const since = new Map<number, number>();
    const check = (index: number, end: boolean): void => {
      const start = since.get(index);
      if (start === undefined) return;
      const spent = context.retired(index) - start;
      if (spent > count) broken({ text: `interrupts ${end ? "had been" : "were"} off on CPU ${index} for ${spent} instructions` });
    };
    return {
      interruptFlag: (index, enabled) => {
        if (cpu !== undefined && index !== cpu) return;
        if (enabled) {
          check(index, false);
          since.delete(index);
        } else since.set(index, context.retired(index));
      },
      finish: () => {
        for (const index of since.keys()) check(index, true);
      },
    };
  };

export const nestedAtMost =
  (count: number): StatementFactory =>
  (context, broken) => ({
    handlerEntered: (cpu, frame, depth) => {
      if (depth > count)
        broken({
          text: `handlers nested ${depth} deep on CPU ${cpu}, at vector ${hex(frame.vector, 2)}`,
          record: context.record(frame.record),
        });
    },
  });

/** The first serial port sends a text, on any line. */
export const prints =
  (text: string): StatementFactory =>
  (_context, broken) => {
    let tail = "";
    let found = false;
    return {
      serial: (more) => {
        if (found) return;
        tail = (tail + more).slice(-(text.length + more.length));
        found = tail.includes(text);
        tail = tail.slice(-text.length);
      },
      finish: () => {
        if (!found) broken({ text: `the guest did not print "${text}"` });
      },
    };
  };

export const endsWith =
  (status: number): StatementFactory =>
  (_context, broken) => ({
    finish: (end, exitStatus) => {
      if (exitStatus !== status) broken({ text: `the guest ended with status ${exitStatus} (${end.kind})` });
    },
  });
