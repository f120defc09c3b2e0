import type { DelayRule } from "../apic/delayLine";
import { modes as deliveryModes } from "../apic/recordStore";
import { fromBase64, toBase64 } from "../common/base64";
import { crc32 } from "../common/checksum";
import { UserError } from "../common/errors";
import { readState, writeState } from "../common/stateCodec";
import { comparePositions, type Input, type PlacedInput, type Position } from "./inputs";
import type { MachineMake } from "./make";

/**
 * The input log as a text file. First line: `apicscope input log 1`. Every other line is eight hex digits and a JSON value: the CRC-32 of all text before it on the
 * line's right and of every line before, so that a line that was changed, lost or cut off is noticed. The second line is the machine's make, the others are inputs with
 * their positions `at: [tried, taken, time]`, in order; the last, if the run was ended in order, tells how it ended.
 */
const TITLE = "apicscope input log 1";
const TITLE_START = "apicscope input log ";

/** How a recorded run ended. */
export interface RecordedEnd {
  readonly at: Position;
  /** In a word: the kind of the run's end, or "quit". */
  readonly how: string;
  readonly instructions: number;
  /** State hash, as 16 hex digits. */
  readonly hash: string;
}

export interface InputLog {
  readonly make: MachineMake;
  readonly inputs: readonly PlacedInput[];
  /** Missing when the recording was cut off. */
  readonly end: RecordedEnd | undefined;
}

const encoder = new TextEncoder();

const list = ({ tried, taken, time }: Position): readonly number[] => [tried, taken, time];

function inputFields(input: Input): Record<string, unknown> {
  switch (input.kind) {
    case "device":
      return { device: input.device, data: toBase64(input.bytes) };
    case "memory":
      return { address: input.address, data: toBase64(input.bytes) };
    case "state":
      return { data: toBase64(writeState(input.state)) };
    case "reset":
      return {};
    case "held":
    case "shield":
      return { cpu: input.cpu, held: input.held };
    case "only":
      return { cpu: input.cpu };
    case "schedule":
      return { quantum: input.quantum, seed: input.seed };
    case "delays":
      return { rules: input.rules };
  }
}

/** Writes a log, piece by piece, so that what was recorded is there however the run ends. */
export class InputLogWriter {
  private sum: number;

  /** @param write appends text to the file */
  constructor(
    private readonly write: (text: string) => void,
    make: MachineMake,
  ) {
    this.sum = crc32(encoder.encode(TITLE));
    write(`${TITLE}\n`);
    this.line({ make });
  }

  /** The check value so far, with which {@link truncated} goes on from here. */
  get checkValue(): number {
    return this.sum;
  }

  /** The file was cut back to where {@link checkValue} had this value. */
  truncated(checkValue: number): void {
    this.sum = checkValue;
  }

  input({ at, input }: PlacedInput): void {
    this.line({ at: list(at), kind: input.kind, ...inputFields(input) });
  }

  end({ at, ...end }: RecordedEnd): void {
    this.line({ at: list(at), end });
  }

  private line(value: unknown): void {
    const text = JSON.stringify(value);
    this.sum = crc32(encoder.encode(text), this.sum);
    this.write(`${this.sum.toString(16).padStart(8, "0")} ${text}\n`);
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads the text of a log. @throws UserError that names `file` when it is no log, or damaged, or of another version */
export function readInputLog(text: string, file: string): InputLog {
  const lines = text.split("\n");
  if (lines[0] !== TITLE) {
    const other = lines[0].startsWith(TITLE_START) ? `version ${lines[0].slice(TITLE_START.length, TITLE_START.length + 8)}` : undefined;
    throw new UserError(
      other === undefined ? `${file} is no input log.` : `${file} is an input log of ${other}, which this version cannot read.`,
      "replay",
    );
  }
  let sum = crc32(encoder.encode(TITLE));
  let make: MachineMake | undefined;
  const inputs: PlacedInput[] = [];
  let end: RecordedEnd | undefined;
  if (lines[lines.length - 1] === "") lines.pop();
  for (const [index, line] of lines.slice(1).entries()) {
    const damaged = (): never => {
      throw new UserError(`${file} is damaged at line ${index + 2}.`, "replay");
    };
    const json = line.slice(9);
    sum = crc32(encoder.encode(json), sum);
    if (line.slice(0, 9) !== `${sum.toString(16).padStart(8, "0")} ` || end !== undefined) return damaged();
    const fields = parse(json) ?? damaged();
    if (make === undefined) {
      make = readMake(fields["make"]) ?? damaged();
      continue;
    }
    const at = readPosition(fields["at"]) ?? damaged();
    const before = inputs.at(-1);
    if (before !== undefined && comparePositions(before.at, at) > 0) damaged();
    if (fields["end"] !== undefined) end = readEnd(fields["end"], at) ?? damaged();
    else inputs.push({ at, input: readInput(fields, file) ?? damaged() });
  }
  if (make === undefined) throw new UserError(`${file} is damaged: it ends after its first line.`, "replay");
  return { make, inputs, end };
}

function parse(json: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

function readMake(value: unknown): MachineMake | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const valid = Object.values(value).every((part) => typeof part === "string" || typeof part === "number");
  return valid ? (value as MachineMake) : undefined;
}

function readPosition(value: unknown): Position | undefined {
  if (!Array.isArray(value) || value.length !== 3 || !value.every(isCount)) return undefined;
  const [tried, taken, time] = value as [number, number, number];
  return { tried, taken, time };
}

function readEnd(value: unknown, at: Position): RecordedEnd | undefined {
  const { how, instructions, hash } = value as Fields;
  if (typeof how !== "string" || !isCount(instructions) || typeof hash !== "string") return undefined;
  return { at, how, instructions, hash };
}

function readRules(value: unknown): DelayRule[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const rules: DelayRule[] = [];
  for (const entry of value as unknown[]) {
    if (typeof entry !== "object" || entry === null) return undefined;
    const { id, instructions, vector, mode, src, dst } = entry as Fields;
    if (!isCount(id) || !isCount(instructions) || instructions === 0) return undefined;
    const known = deliveryModes.find((candidate) => candidate === mode);
    if (![vector, src, dst].every((part) => part === undefined || isCount(part)) || (mode !== undefined && known === undefined))
      return undefined;
    rules.push(entry as DelayRule);
  }
  return rules;
}

function readInput(fields: Fields, file: string): Input | undefined {
  const { kind, device, address, cpu, held } = fields;
  const bytes = typeof fields["data"] === "string" ? fromBase64(fields["data"]) : undefined;
  switch (kind) {
    case "device":
      return typeof device === "string" && bytes !== undefined ? { kind, device, bytes } : undefined;
    case "memory":
      return isCount(address) && bytes !== undefined ? { kind, address, bytes } : undefined;
    case "state":
      return bytes === undefined ? undefined : { kind, state: readState(bytes, file) };
    case "reset":
      return { kind };
    case "held":
    case "shield":
      return isCount(cpu) && typeof held === "boolean" ? { kind, cpu, held } : undefined;
    case "schedule": {
      const { quantum, seed } = fields;
      return isCount(quantum) && quantum > 0 && isCount(seed) ? { kind, quantum, seed } : undefined;
    }
    case "delays": {
      const rules = readRules(fields["rules"]);
      return rules === undefined ? undefined : { kind, rules };
    }
    case "only":
      return typeof cpu === "number" && Number.isInteger(cpu) && cpu >= -1 ? { kind, cpu } : undefined;
    default:
      return undefined;
  }
}
