import { highHalf, joinHalves, lowHalf } from "../../common/halves";
import { assert } from "../../common/errors";
import { STATUS_FAULT, STATUS_LEAVE, STATUS_OK } from "../../tcg/ops";
import { type HelperName, helperNames } from "../helperIds";
import { ProcessorHost, x87Helpers } from "../fpu/helpers";
import { integerHelpers } from "../helpers/integer";
import { EXC_BR, EXC_DE, EXC_GP, EXC_NM, EXC_UD, EXC_XM } from "../exceptions";
import {
  CR0_TS,
  CR4_FSGSBASE,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PCIDE,
  CR4_PKE,
  CR4_TSD,
  FLAG_AC,
  FLAG_ID,
  FLAG_IF,
  FLAG_IOPL,
  FLAG_NT,
  FLAG_RF,
  FLAG_TF,
  FLAG_VM,
} from "../registerBits";
import { FS, GS, SS } from "../segmentRegisters";
import { randomNumber } from "../random";
import { SimdUnit } from "../simd/unit";
import { isSupervisorKind, xsaveKinds } from "../xsave";
import { softwareEvent, trapEvent } from "./delivery";
import { canonical } from "./descriptors";
import { ExtendedState } from "./extendedState";
import { StackCursor } from "./stack";
import type { CpuSystem } from "./system";

/** A helper: slot offsets a and b, immediate halves. Returns a status. */
export type HelperFunction = (a: number, b: number, lo: number, hi: number) => number;

/** DR6: single step. */
const DR6_BS = 1 << 14;

type Size = 2 | 4 | 8;

const status = (ok: boolean): number => (ok ? STATUS_OK : STATUS_FAULT);

/** The helpers of one CPU, by number; meanings in helperIds.ts. */
export function buildHelpers(system: CpuSystem): readonly HelperFunction[] {
  const { state, mmu } = system;
  const { slots } = state;
  const get = (slot: number): bigint => slots[slot >> 3];
  const low16 = (slot: number): number => Number(slots[slot >> 3] & 0xffffn);
  const set = (slot: number, value: bigint): void => {
    slots[slot >> 3] = value;
  };
  const fault = (vector: number, errorCode = -1): number => {
    state.raise(vector, errorCode);
    return STATUS_FAULT;
  };
  const privileged = (): boolean => state.cpl === 0;
  const iopl = (): number => (state.systemFlags >> 12) & 3;
  const interruptFlagAllowed = (): boolean => (state.vm86 ? iopl() === 3 : state.cpl <= iopl());
  const edxEax = (): bigint => joinHalves(state.gpr32(2), state.gpr32(0));
  const setEdxEax = (value: bigint): void => {
    state.setGpr32(0, lowHalf(value));
    state.setGpr32(2, highHalf(value));
  };
  /** A change of control register `register`, told to whom it concerns. */
  const controlWrite = (register: number, write: () => boolean): number => {
    const { registerWatch } = system;
    if (registerWatch === undefined) return status(write());
    const old = system.control.read(register);
    if (!write()) return STATUS_FAULT;
    const value = system.control.read(register);
    if (old !== undefined && value !== undefined) registerWatch.control(register, true, old, value);
    return STATUS_OK;
  };
  const { segments, far, tables } = system;
  const descriptorTable = (address: bigint, limit: number, at: bigint, size: number): boolean =>
    mmu.probeWrite(at, size === 8 ? 10 : 6, true) &&
    mmu.write(at, 2, BigInt(limit), true) &&
    (size === 8
      ? mmu.write(BigInt.asUintN(64, at + 2n), 8, address, true)
      : mmu.write(tables.linear(at + 2n), 4, address & 0xffff_ffffn, true));
  const readTable = (at: bigint, size: number): { base: bigint; limit: number } | undefined => {
    const limit = mmu.read(at, 2, true);
    if (limit === undefined) return undefined;
    const base = mmu.read(tables.linear(at + 2n), size === 8 ? 8 : 4, true);
    if (base === undefined) return undefined;
    return { limit: Number(limit), base: size === 2 ? base & 0xff_ffffn : base };
  };

  const simd = new SimdUnit({
    slots,
    fpu: state.fpu,
    arithmeticFault: () => state.raise((state.cr4 & CR4_OSXMMEXCPT) !== 0 ? EXC_XM : EXC_UD),
  });

  const extendedState = new ExtendedState(system, new ProcessorHost(system), system.model.features);

  const byName: Record<HelperName, HelperFunction> = {
    ...x87Helpers(system),
    simd: (a, b, lo, hi) => simd.run(a, b, lo, hi),
    daa: (a, b, lo, hi) => integerHelpers.daa(slots, a, b, lo, hi),
    das: (a, b, lo, hi) => integerHelpers.das(slots, a, b, lo, hi),
    aaa: (a, b, lo, hi) => integerHelpers.aaa(slots, a, b, lo, hi),
    aas: (a, b, lo, hi) => integerHelpers.aas(slots, a, b, lo, hi),
    aam: (a, b, lo, hi) => (integerHelpers.aam(slots, a, b, lo, hi) === STATUS_OK ? STATUS_OK : fault(EXC_DE)),
    aad: (a, b, lo, hi) => integerHelpers.aad(slots, a, b, lo, hi),
    crc32: (a, b, lo, hi) => integerHelpers.crc32(slots, a, b, lo, hi),
    pdep: (a, b, lo, hi) => integerHelpers.pdep(slots, a, b, lo, hi),
    pext: (a, b, lo, hi) => integerHelpers.pext(slots, a, b, lo, hi),
    raise: (_a, _b, vector, errorCode) => fault(vector, errorCode),
    interrupt: (_a, _b, vector, kind) => {
      const event = kind === 3 ? trapEvent(state.trapBits) : softwareEvent(vector);
      // INT1 brings along what a load of SS before it held back.
      if (kind === 3) state.trapBits = 0;
      system.trapSuppressed = true;
      // INT n proper is subject to V86's IOPL; INT3 and INTO are not.
      return system.delivery.attempt(kind === 0 ? { ...event, breakpoint: false } : event) ? system.onward() : STATUS_FAULT;
    },
    bound: (a, b, size) => {
      const bits = size * 8;
      const index = BigInt.asIntN(bits, get(a));
      const lower = mmu.read(get(b), size as Size, true);
      if (lower === undefined) return STATUS_FAULT;
      const upper = mmu.read(tables.linear(get(b) + BigInt(size)), size as Size, true);
      if (upper === undefined) return STATUS_FAULT;
      return index < BigInt.asIntN(bits, lower) || index > BigInt.asIntN(bits, upper) ? fault(EXC_BR) : STATUS_OK;
    },
    in: (a, b, size) => {
      const port = low16(b);
      if (!system.ports.allowed(port, size)) return STATUS_FAULT;
      set(a, BigInt(system.ports.in(port, size as 1 | 2 | 4)));
      return STATUS_OK;
    },
    out: (a, b, size) => {
      const port = low16(b);
      if (!system.ports.allowed(port, size)) return STATUS_FAULT;
      system.ports.out(port, size as 1 | 2 | 4, Number(get(a) & (size === 4 ? 0xffff_ffffn : size === 2 ? 0xffffn : 0xffn)));
      return STATUS_OK;
    },
    string: (_a, b, lo) => system.strings.run(b, lo),
    cli: () => {
      if (!interruptFlagAllowed()) return fault(EXC_GP, 0);
      state.systemFlags &= ~FLAG_IF;
      return STATUS_OK;
    },
    sti: () => {
      if (!interruptFlagAllowed()) return fault(EXC_GP, 0);
      state.systemFlags |= FLAG_IF;
      return STATUS_OK;
    },
    pushfImage: (a, _b, size) => {
      if (state.vm86 && iopl() !== 3) return fault(EXC_GP, 0);
      set(a, BigInt(size === 2 ? state.rflags & 0xffff : state.rflags & ~(FLAG_VM | FLAG_RF)) & 0xffff_ffffn);
      return STATUS_OK;
    },
    popf: (a, _b, size) => {
      if (state.vm86 && iopl() !== 3) return fault(EXC_GP, 0);
      let mask = 0xfd5 | FLAG_NT | (size === 2 ? 0 : FLAG_AC | FLAG_ID);
      if (!state.vm86 && state.cpl === 0) mask |= FLAG_IOPL;
      if (!interruptFlagAllowed()) mask &= ~FLAG_IF;
      const value = Number(get(a) & 0xffff_ffffn);
      // RF is cleared; VM, VIF and VIP stay.
      state.rflags = (state.rflags & ~mask & ~(size === 2 ? 0 : FLAG_RF)) | (value & mask);
      mmu.tlb.selectIndex();
      return STATUS_OK;
    },
    hlt: () => {
      if (!privileged()) return fault(EXC_GP, 0);
      state.activity = "halted";
      return STATUS_OK;
    },
    monitor: (a) => {
      if (!privileged()) return fault(EXC_UD);
      if (state.gpr32(1) !== 0) return fault(EXC_GP, 0);
      const linear = get(a);
      if (mmu.read(linear, 1, true) === undefined) return STATUS_FAULT;
      const physical = mmu.inspect(linear);
      if (physical >= 0) system.host.monitor.arm(state.index, physical);
      return STATUS_OK;
    },
    mwait: () => {
      if (!privileged()) return fault(EXC_UD);
      const extensions = state.gpr32(1);
      if ((extensions & ~1) !== 0) return fault(EXC_GP, 0);
      state.mwaitBreaksOnMasked = (extensions & 1) !== 0;
      if (system.host.monitor.armed(state.index)) state.activity = "mwait";
      return STATUS_OK;
    },
    pause: () => {
      system.host.pause(state.index);
      return STATUS_OK;
    },
    farJump: (a, b, size) => status(far.transfer(false, low16(a), get(b), size as Size)),
    farCall: (a, b, size) => status(far.transfer(true, low16(a), get(b), size as Size)),
    farReturn: (_a, _b, size, release) => status(far.farReturn(size as Size, release)),
    iret: (_a, _b, size) => {
      // IRET unblocks NMIs even when it faults (SDM vol. 3, "Handling Multiple NMIs").
      state.nmiBlocked = false;
      if (!far.iret(size as Size)) return STATUS_FAULT;
      system.resumeFlagLoaded = true;
      system.observer.returned();
      return system.onward();
    },
    syscall: () => {
      if (!system.fastCalls.syscall()) return STATUS_FAULT;
      // The flag mask may have cleared TF: then nothing is left to trap.
      system.trapSuppressed = (state.systemFlags & FLAG_TF) === 0;
      return system.onward();
    },
    sysret: (_a, _b, size) => {
      if (!system.fastCalls.sysret(size)) return STATUS_FAULT;
      // TF counts as it is after the instruction, so that a single-stepped SYSCALL whose mask clears it traps when it is over (AMD64 APM vol. 3, "SYSRET").
      if ((state.systemFlags & FLAG_TF) !== 0) system.host.trap(state.index, DR6_BS);
      else system.trapSuppressed = true;
      return system.onward();
    },
    sysenter: () => (system.fastCalls.sysenter() ? system.onward() : STATUS_FAULT),
    sysexit: (_a, _b, size) => (system.fastCalls.sysexit(size) ? system.onward() : STATUS_FAULT),
    rsm: () => {
      if (!state.inSmm) return fault(EXC_UD);
      if (!system.smm.leave()) {
        state.activity = "shutdown";
        system.observer.tripleFault();
      }
      return STATUS_OK;
    },
    loadSegment: (a, _b, segment) => {
      // Counts only where the front end makes a shadow of it: MOV and POP, not LSS.
      if (segment === SS) state.stackShadow = true;
      return status(segments.load(segment, low16(a)));
    },
    lldt: (a) => (privileged() ? status(segments.lldt(low16(a))) : fault(EXC_GP, 0)),
    ltr: (a) => (privileged() ? status(segments.ltr(low16(a))) : fault(EXC_GP, 0)),
    lar: (a, b, size) => status(system.checks.lar(low16(a), b, size)),
    lsl: (a, b, size) => status(system.checks.lsl(low16(a), b, size)),
    verr: (a) => status(system.checks.verify(low16(a), false)),
    verw: (a) => status(system.checks.verify(low16(a), true)),
    arpl: (a, b) => {
      const destination = low16(a);
      const rpl = low16(b) & 3;
      const lower = (destination & 3) < rpl;
      if (lower) set(a, (get(a) & ~3n & 0xffff_ffff_ffff_ffffn) | BigInt(rpl));
      state.setZeroFlag(lower);
      return STATUS_OK;
    },
    sgdt: (a, _b, size) => status(descriptorTable(state.gdtrBase, state.gdtrLimit, get(a), size)),
    sidt: (a, _b, size) => status(descriptorTable(state.idtrBase, state.idtrLimit, get(a), size)),
    lgdt: (a, _b, size) => {
      if (!privileged()) return fault(EXC_GP, 0);
      const table = readTable(get(a), size);
      if (table === undefined) return STATUS_FAULT;
      if (size === 8 && !canonical(table.base, system.model.linearBits)) return fault(EXC_GP, 0);
      state.gdtrBase = table.base;
      state.gdtrLimit = table.limit;
      return STATUS_OK;
    },
    lidt: (a, _b, size) => {
      if (!privileged()) return fault(EXC_GP, 0);
      const table = readTable(get(a), size);
      if (table === undefined) return STATUS_FAULT;
      if (size === 8 && !canonical(table.base, system.model.linearBits)) return fault(EXC_GP, 0);
      state.idtrBase = table.base;
      state.idtrLimit = table.limit;
      state.idtLoaded?.();
      return STATUS_OK;
    },
    readCr: (a, _b, register) => {
      if (!privileged()) return fault(EXC_GP, 0);
      const value = system.control.read(register);
      if (value === undefined) return STATUS_FAULT;
      set(a, value);
      system.registerWatch?.control(register, false, undefined, value);
      return STATUS_OK;
    },
    writeCr: (a, _b, register) => (privileged() ? controlWrite(register, () => system.control.write(register, get(a))) : fault(EXC_GP, 0)),
    readDr: (a, _b, register) => {
      if (!privileged()) return fault(EXC_GP, 0);
      const value = system.debug.read(register);
      if (value === undefined) return STATUS_FAULT;
      set(a, value);
      return STATUS_OK;
    },
    writeDr: (a, _b, register) => (privileged() ? status(system.debug.write(register, get(a))) : fault(EXC_GP, 0)),
    smsw: (a) => {
      set(a, BigInt(state.cr0 >>> 0));
      return STATUS_OK;
    },
    lmsw: (a) => (privileged() ? controlWrite(0, () => system.control.lmsw(low16(a))) : fault(EXC_GP, 0)),
    clts: () =>
      privileged()
        ? controlWrite(0, () => {
            state.cr0 = (state.cr0 & ~8) >>> 0;
            return true;
          })
        : fault(EXC_GP, 0),
    invlpg: (a) => {
      if (!privileged()) return fault(EXC_GP, 0);
      mmu.tlb.flushPage(get(a));
      return STATUS_OK;
    },
    invpcid: (a, b) => {
      if (!privileged()) return fault(EXC_GP, 0);
      const low = mmu.read(get(b), 8, true);
      if (low === undefined) return STATUS_FAULT;
      const linear = mmu.read(tables.linear(get(b) + 8n), 8, true);
      if (linear === undefined) return STATUS_FAULT;
      // SDM vol. 2, "INVPCID": without PCIDs 0 is the only one. The soft TLB keeps translations of the current PCID only, so that every type empties it.
      if (get(a) > 3n || low >> 12n !== 0n) return fault(EXC_GP, 0);
      if (get(a) < 2n && low !== 0n && (state.cr4 & CR4_PCIDE) === 0) return fault(EXC_GP, 0);
      if (get(a) === 0n && !canonical(linear, system.model.linearBits)) return fault(EXC_GP, 0);
      mmu.tlb.flush();
      return STATUS_OK;
    },
    invd: () => (privileged() ? STATUS_OK : fault(EXC_GP, 0)),
    wbinvd: () => (privileged() ? STATUS_OK : fault(EXC_GP, 0)),
    readMsr: () => {
      const value = privileged() ? system.msrs.read(state.gpr32(1)) : undefined;
      if (value === undefined) return fault(EXC_GP, 0);
      setEdxEax(value);
      system.registerWatch?.msr(state.gpr32(1), false, undefined, value);
      return STATUS_OK;
    },
    writeMsr: () => {
      const index = state.gpr32(1);
      const { registerWatch } = system;
      const old = registerWatch === undefined ? undefined : system.msrs.read(index);
      if (!privileged() || !system.msrs.write(index, edxEax())) return fault(EXC_GP, 0);
      registerWatch?.msr(index, true, old, edxEax());
      return STATUS_OK;
    },
    rdtsc: () => {
      if ((state.cr4 & CR4_TSD) !== 0 && state.cpl > 0) return fault(EXC_GP, 0);
      setEdxEax(system.msrs.tsc());
      return STATUS_OK;
    },
    rdtscp: () => {
      if ((state.cr4 & CR4_TSD) !== 0 && state.cpl > 0) return fault(EXC_GP, 0);
      setEdxEax(system.msrs.tsc());
      state.setGpr(1, state.tscAux);
      return STATUS_OK;
    },
    // No performance counters are offered: any index is out of range.
    rdpmc: () => fault(EXC_GP, 0),
    cpuid: () => {
      const base = system.controller.readMsr(0x1b) ?? 0n;
      const apic = { enabled: (base & 0x800n) !== 0n, x2apic: (base & 0x400n) !== 0n };
      const result = system.model.cpuid(state.gpr32(0), state.gpr32(1), state, apic);
      state.setGpr32(0, result.eax);
      state.setGpr32(3, result.ebx);
      state.setGpr32(1, result.ecx);
      state.setGpr32(2, result.edx);
      return STATUS_OK;
    },
    xgetbv: () => {
      if ((state.cr4 & CR4_OSXSAVE) === 0) return fault(EXC_UD);
      const value = extendedState.read(state.gpr32(1));
      if (value === undefined) return fault(EXC_GP, 0);
      setEdxEax(value);
      return STATUS_OK;
    },
    xsetbv: () => {
      if ((state.cr4 & CR4_OSXSAVE) === 0) return fault(EXC_UD);
      return privileged() && extendedState.write(state.gpr32(1), edxEax()) ? STATUS_OK : fault(EXC_GP, 0);
    },
    xsaveReady: (_a, _b, kind) => {
      if ((state.cr4 & CR4_OSXSAVE) === 0) return fault(EXC_UD);
      if (isSupervisorKind(xsaveKinds[kind]) && !privileged()) return fault(EXC_GP, 0);
      return (state.cr0 & CR0_TS) !== 0 ? fault(EXC_NM) : STATUS_OK;
    },
    xsave: (a, _b, kind, wide) => status(extendedState.execute(xsaveKinds[kind], get(a), edxEax(), wide !== 0)),
    enter: (_a, _b, lo, level) => status(enter(system, lo & 0xffff, ((lo >> 16) & 0xff) as Size, level)),
    cmpxchg16b: (a) => {
      const address = get(a);
      if ((address & 15n) !== 0n) return fault(EXC_GP, 0);
      if (!mmu.probeWrite(address, 16, true)) return STATUS_FAULT;
      const lowHalf = mmu.read(address, 8, true);
      const highHalf = mmu.read(address + 8n, 8, true);
      assert(lowHalf !== undefined && highHalf !== undefined, "a probed line can be read");
      const equal = lowHalf === state.gpr(0) && highHalf === state.gpr(2);
      mmu.write(address, 8, equal ? state.gpr(3) : lowHalf, true);
      mmu.write(address + 8n, 8, equal ? state.gpr(1) : highHalf, true);
      if (!equal) {
        state.setGpr(0, lowHalf);
        state.setGpr(2, highHalf);
      }
      state.setZeroFlag(equal);
      return STATUS_OK;
    },
    checkCsLimit: (a) => (get(a) > BigInt(state.limit[1]) ? fault(EXC_GP, 0) : STATUS_OK),
    checkBreakpoint: (_a, _b, lo, hi) => (system.debug.checkInstruction(joinHalves(hi, lo)) ? STATUS_FAULT : STATUS_OK),
    debuggerBreakpoint: (_a, _b, lo, hi) => (system.host.breakpoint(state.index, joinHalves(hi, lo)) ? STATUS_LEAVE : STATUS_OK),
    fsgsbase: (a, _b, operation) => {
      if ((state.cr4 & CR4_FSGSBASE) === 0) return fault(EXC_UD);
      const segment = (operation & 1) === 0 ? FS : GS;
      if (operation < 2) {
        set(a, state.segBase(segment));
        return STATUS_OK;
      }
      const base = get(a);
      if (!canonical(base, system.model.linearBits)) return fault(EXC_GP, 0);
      state.setSegment(segment, state.selector[segment], base, state.limit[segment], state.access[segment]);
      return STATUS_OK;
    },
    setAc: (_a, _b, value) => {
      state.systemFlags = value !== 0 ? state.systemFlags | FLAG_AC : state.systemFlags & ~FLAG_AC;
      mmu.tlb.selectIndex();
      return STATUS_OK;
    },
    rdrand: (a) => {
      set(a, randomNumber(system.model.seed, state.index, state.randomNumbers++));
      state.flags = { cf: true, pf: false, af: false, zf: false, sf: false, of: false };
      return STATUS_OK;
    },
    rdpid: (a) => {
      set(a, state.tscAux);
      return STATUS_OK;
    },
    pkru: (_a, _b, write) => {
      if ((state.cr4 & CR4_PKE) === 0) return fault(EXC_UD);
      if (state.gpr32(1) !== 0 || (write !== 0 && state.gpr32(2) !== 0)) return fault(EXC_GP, 0);
      if (write === 0) setEdxEax(BigInt(state.pkru));
      else system.setPkru(state.gpr32(0));
      return STATUS_OK;
    },
    hypercall: (_a, _b, amd) => {
      const { host, model } = system;
      if (host.hypercall === undefined || (amd !== 0) !== (model.vendor === "amd")) return fault(EXC_UD);
      const bits = state.code64 ? 64 : 32;
      const argument = (register: number): bigint => BigInt.asUintN(bits, state.gpr(register));
      const answer = host.hypercall(state.index, argument(0), [argument(3), argument(1), argument(2), argument(6)], bits, state.cpl);
      state.setGpr(0, BigInt.asUintN(bits, answer));
      return STATUS_OK;
    },
  };
  return helperNames.map((name) => byName[name]);
}

/** ENTER with nesting (SDM vol. 2): frame pointers of the enclosing levels are copied. Nothing changes when a push faults. */
function enter(system: CpuSystem, frame: number, size: Size, level: number): boolean {
  const { state, mmu, segments } = system;
  const stack = StackCursor.current(state, mmu, segments);
  const bits = stack.width;
  const mask = bits === 64 ? 0xffff_ffff_ffff_ffffn : bits === 32 ? 0xffff_ffffn : 0xffffn;
  if (!stack.push(size, state.gpr(5))) return false;
  const framePointer = stack.pointer;
  const source = StackCursor.current(state, mmu, segments);
  source.pointer = state.gpr(5) & mask;
  for (let i = 1; i < level; i++) {
    const value = source.peek(-size * i, size);
    if (value === undefined || !stack.push(size, value)) return false;
  }
  if (!stack.push(size, framePointer)) return false;
  stack.pointer = (stack.pointer - BigInt(frame)) & mask;
  // The new stack top must be writable, as on hardware; it is probed, not written.
  if (frame > 0 && bits === 64 && !mmu.probeWrite(stack.pointer, 1, true)) return false;
  const low = size === 2 ? 0xffffn : size === 4 && bits !== 64 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn;
  state.setGpr(5, low === 0xffffn ? (state.gpr(5) & ~0xffffn & 0xffff_ffff_ffff_ffffn) | (framePointer & 0xffffn) : framePointer & low);
  stack.commit();
  return true;
}
