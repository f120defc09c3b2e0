import { UserError } from "../common/errors";
import { type Arrangement } from "./topology";
import { MOST_PHYSICAL_BITS } from "./state";
import { type CpuFeatures, type FeatureName, featureNames, features, featureSet } from "./features";

/** Makers that processors differ by where the architecture leaves it to them: `CPUID` leaf 0, SYSCALL and SYSENTER. */
export type Vendor = "intel" | "amd";
const vendors: readonly Vendor[] = ["intel", "amd"];

/** A CPU as the user names it. */
export interface CpuSelection {
  readonly vendor: Vendor;
  readonly features: CpuFeatures;
  readonly arrangement: Arrangement;
  /** Width of physical addresses. */
  readonly physicalBits: number;
}

/** What a virtual machine's processors have whatever their level: what spares a guest trouble and belongs to no level of the x86-64 psABI. */
const board: readonly FeatureName[] = ["nx", "x2apic", "tsc-deadline", "hypervisor", "invtsc", "arat"];
const v2: readonly FeatureName[] = [...board, "cx16", "lahf", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2"];
const v3: readonly FeatureName[] = [...v2, "xsave", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"];

/** The models by name. `x86-64`, `-v2` and `-v3` are the micro-architecture levels of the x86-64 psABI. */
const models: ReadonlyMap<string, readonly FeatureName[]> = new Map([
  ["x86-64", board],
  ["x86-64-v2", v2],
  ["x86-64-v3", v3],
  ["max", featureNames],
]);

export const modelNames: readonly string[] = [...models.keys()];
/** The narrowest physical addresses that a model may be given: those of the first processors with large physical addresses. */
const LEAST_PHYSICAL_BITS = 36;
/** The model of a machine that names none (docs/adr). */
export const DEFAULT_MODEL = "max";

const isFeature = (name: string): name is FeatureName => featureNames.some((known) => known === name);
const isVendor = (name: string): name is Vendor => vendors.some((known) => known === name);

/** Adds a feature and what it needs. */
function add(chosen: Set<FeatureName>, name: FeatureName): void {
  if (chosen.has(name)) return;
  chosen.add(name);
  for (const needed of features.find((feature) => feature.name === name)?.needs ?? []) add(chosen, needed);
}

/** Takes a feature away, and those that need it. */
function remove(chosen: Set<FeatureName>, name: FeatureName): void {
  chosen.delete(name);
  for (const feature of features) if (chosen.has(feature.name) && feature.needs.includes(name)) remove(chosen, feature.name);
}

const levels = ["sockets", "cores", "threads"] as const;

/** Settings of a model: vendor, arrangement, width of physical addresses. */
class Settings {
  physicalBits = MOST_PHYSICAL_BITS;
  vendor: Vendor = "intel";
  readonly arrangement: { sockets?: number; cores?: number; threads?: number } = {};

  constructor(private readonly subject: string) {}

  set(name: string, value: string): void {
    const { subject } = this;
    if (name === "vendor") {
      if (!isVendor(value)) throw new UserError(`\`${subject}\` has the vendor "${value}": choose ${vendors.join(" or ")}.`, subject);
      this.vendor = value;
      return;
    }
    if (name === "phys-bits") {
      this.physicalBits = /^\d{2}$/.test(value) ? Number(value) : 0;
      if (this.physicalBits < LEAST_PHYSICAL_BITS || this.physicalBits > MOST_PHYSICAL_BITS) {
        throw new UserError(
          `\`${subject}\` has "phys-bits=${value}": give a whole number from ${LEAST_PHYSICAL_BITS} to ${MOST_PHYSICAL_BITS}.`,
          subject,
        );
      }
      return;
    }
    const level = levels.find((candidate) => candidate === name);
    if (level === undefined) {
      throw new UserError(`\`${subject}\` has "${name}=${value}": what can be set are vendor, phys-bits, ${levels.join(", ")}.`, subject);
    }
    const count = /^\d{1,3}$/.test(value) ? Number(value) : 0;
    if (count < 1) throw new UserError(`\`${subject}\` has "${name}=${value}": give a whole number of at least 1.`, subject);
    this.arrangement[level] = count;
  }
}

/**
 * Reads a CPU model: a name, then any of `+feature`, `-feature`, `vendor=intel|amd`, `phys-bits=N`, `sockets=N`, `cores=N` (of a socket) and `threads=N` (of a core), separated by
 * commas and applied from left to right.
 * @throws UserError about `subject`, which lists what there is.
 */
export function parseCpuModel(text: string, subject: string): CpuSelection {
  const [name, ...changes] = text.split(",").map((part) => part.trim().toLowerCase());
  const model = models.get(name);
  if (model === undefined) {
    throw new UserError(`\`${subject}\` names the CPU model "${name}", which does not exist: choose ${modelNames.join(", ")}.`, subject);
  }
  const chosen = new Set(model);
  const settings = new Settings(subject);
  for (const change of changes) {
    const equals = change.indexOf("=");
    if (equals > 0) {
      settings.set(change.slice(0, equals), change.slice(equals + 1));
      continue;
    }
    const sign = change[0];
    const feature = change.slice(1);
    if (sign !== "+" && sign !== "-") {
      throw new UserError(
        `\`${subject}\` has "${change}": after the model come +feature, -feature and settings such as vendor=amd.`,
        subject,
      );
    }
    if (!isFeature(feature)) {
      throw new UserError(
        `\`${subject}\` has the CPU feature "${feature}", which does not exist: choose of ${optional.join(", ")}.`,
        subject,
      );
    }
    if (sign === "+") add(chosen, feature);
    else if (optional.includes(feature)) remove(chosen, feature);
    else throw new UserError(`\`${subject}\` takes away "${feature}", which every 64-bit processor has.`, subject);
  }
  return { vendor: settings.vendor, features: featureSet(chosen), arrangement: settings.arrangement, physicalBits: settings.physicalBits };
}

/** Features that models differ in. */
const optional: readonly FeatureName[] = features.filter(({ base }) => base !== true).map(({ name }) => name);
