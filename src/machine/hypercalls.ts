import type { InterruptBus } from "../apic/bus";
import type { InterruptMessage } from "../apic/message";

/** Hypercall numbers and errors, as the most widely used hypervisor has them. */
const VAPIC_POLL_IRQ = 1n;
const SEND_IPI = 10n;
const EPERM = -1n;
const EINVAL = -22n;
const ENOSYS = -1000n;

/** ICR fields of a SEND_IPI call. */
const ICR_VECTOR = 0xff;
const ICR_MODE = 0x700;
const ICR_MODE_NMI = 0x400;
const ICR_SHORTHAND = 0xc_0000;

/**
 * Answers to VMCALL on machines with the PC test device: the test kernels that look for that device take it for granted that a hypervisor is below them. CPUID
 * tells of none of this, so that other guests use the hardware. Numbers in RAX, arguments in RBX, RCX, RDX, RSI, the result in RAX; unknown
 * numbers give -1000 and calls above CPL 0 give -1, as the public interface documents it ("Linux KVM Hypercall").
 */
export class TestHypercalls {
  constructor(private readonly bus: InterruptBus) {}

  /** `bits`: width of the caller's registers, 32 or 64. */
  call(cpu: number, number: bigint, argument: readonly bigint[], bits: number, cpl: number): bigint {
    if (cpl !== 0) return EPERM;
    if (number === VAPIC_POLL_IRQ) return 0n;
    if (number === SEND_IPI) return this.sendIpi(cpu, argument, BigInt(bits));
    return ENOSYS;
  }

  /** Sends an IPI to every CPU whose APIC id is a set bit of the map in the first two arguments, counted from the third. Gives how many accepted it. */
  private sendIpi(cpu: number, [low, high, first, icrBits]: readonly bigint[], bits: bigint): bigint {
    const icr = Number(icrBits & 0xffff_ffffn);
    const mode = icr & ICR_MODE;
    if ((icr & ICR_SHORTHAND) !== 0 || (mode !== 0 && mode !== ICR_MODE_NMI)) return EINVAL;
    const map = (high << bits) | low;
    let accepted = 0;
    for (const apic of this.bus.apics) {
      const bit = BigInt(apic.apicId) - first;
      if (bit < 0n || bit >= 2n * bits || ((map >> bit) & 1n) === 0n) continue;
      accepted += this.bus.deliver(this.message(cpu, apic.apicId, icr & ICR_VECTOR, mode === ICR_MODE_NMI));
    }
    return BigInt(accepted);
  }

  private message(cpu: number, destination: number, vector: number, nmi: boolean): InterruptMessage {
    return {
      source: "ipi",
      mode: nmi ? "nmi" : "fixed",
      vector: nmi ? 0 : vector,
      trigger: "edge",
      shorthand: "none",
      destinationMode: "physical",
      destination,
      wide: true,
      src: this.bus.apics[cpu].apicId,
      senderCpu: cpu,
    };
  }
}
