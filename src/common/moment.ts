/** When and where something happens. Flat and mutable: a source fills in the same one again and again. */
export class Moment {
  /** Instructions that the whole machine has retired. */
  instruction = 0;
  /** Nanoseconds of virtual time. */
  time = 0;
  /** Index of the CPU that executes, or -1 for a device, a timer or the host. */
  cpu = -1;
  /** Halves of the RIP of that CPU's current instruction, signed; 0 when `cpu` is -1. */
  ripLow = 0;
  ripHigh = 0;
}

/** Where moments come from: the machine. */
export interface MomentSource {
  /** Fills in the present moment, exact inside an instruction, which does not count itself. */
  moment(into: Moment): void;
}
