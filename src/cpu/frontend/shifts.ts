/** Shifts and rotates, with and without flags. */
import { SLOT_ZERO } from "../../tcg/layout";
import { type Emission, sized } from "./emission";

/** SHL, SHR, SAR, ROL, ROR, RCL, RCR: the ops mask the count and keep the flags when it is 0. */
export function shift(name: "shlf" | "shrf" | "sarf" | "rolf" | "rorf" | "rclf" | "rcrf") {
  const ops = sized(name);
  return (e: Emission): void => {
    const count = e.source(1);
    const immediate = e.sourceImmediate;
    e.update((d, old, width) => e.emit(ops[width], d, old, count, immediate));
  };
}

/** SHLD and SHRD. */
export function doubleShift(name: "shldf" | "shrdf") {
  return (e: Emission): void => {
    const fill = e.read(1);
    const count = e.source(2);
    const immediate = e.sourceImmediate;
    e.update((d, old, width) => {
      if (width === 8) return;
      if (d !== old) e.emit("mov", d, old);
      e.emit(`${name}${width}`, d, fill, count, immediate);
    });
  };
}

/** SHLX, SHRX, SARX: no flags. */
export function shiftWithoutFlags(name: "shl" | "shr" | "sar") {
  return (e: Emission): void => {
    const width = e.width(0);
    const index = e.registerNumber(0);
    const value = e.read(1);
    const count = e.read(2);
    const target = e.target(index, width);
    if (width === 64) e.emit(name, target, value, count);
    else {
      const masked = e.temp();
      const extended = e.temp();
      e.emit("and", masked, count, SLOT_ZERO, 31);
      e.emit(name === "sar" ? "sx32" : "zx32", extended, value);
      e.emit(name, extended, extended, masked);
      e.emit("zx32", target, extended);
    }
  };
}

/** RORX: rotate right by a constant, no flags. */
export function rotateWithoutFlags(e: Emission): void {
  const width = e.width(0);
  const index = e.registerNumber(0);
  const count = e.insn.immediate & (width - 1);
  const value = e.read(1);
  const low = e.temp();
  const high = e.temp();
  e.emit(width === 64 ? "mov" : "zx32", low, value);
  if (count !== 0) {
    e.emit("shl", high, low, SLOT_ZERO, width - count);
    e.emit("shr", low, low, SLOT_ZERO, count);
    e.emit("or", low, low, high);
  }
  e.setRegister(index, width, low, false);
}
