import { decodeIcr, decodeLvt, decodeRedirection, decodeSvr, lvtNames } from "../../apic/fields";
import { icrFields, icrText, lvtFields, lvtText, redirectionFields, redirectionText } from "../../apic/registerViews";
import type { FieldView } from "../../devices/device";
import { UserError } from "../../machine/errors";
import { hex } from "../numbers";

/** A register's value in words and by fields. */
export interface DecodedRegister {
  readonly text: string;
  readonly fields: readonly FieldView[];
}

const wide = new Set(["ICR", "Redirection Entry"]);

/**
 * What `value` means in a register of a local APIC or the I/O APIC (SDM vol. 3, APIC chapter; 82093AA data sheet); `x2apic` tells how an ICR is laid out.
 * Throws a {@link UserError} for registers that are not known and values that do not fit.
 */
export function decodeRegister(register: string, value: bigint, x2apic: boolean): DecodedRegister {
  if (value < 0n || value >= 1n << (wide.has(register) ? 64n : 32n))
    throw new UserError(`${hex(value)} does not fit in ${register}.`, "value");
  const low = Number(value & 0xffff_ffffn);
  const high = Number(value >> 32n);
  switch (register) {
    case "ICR":
      return { text: icrText(decodeIcr(low, high, x2apic)), fields: icrFields(value, x2apic) };
    case "Redirection Entry":
      return { text: redirectionText(decodeRedirection(low, high)), fields: redirectionFields(value) };
    case "MSI Data": {
      // Bits 7:0, 10:8, 14 and 15 lie as in the ICR.
      const kept = new Set(["Vector", "Delivery Mode", "Level", "Trigger Mode"]);
      const icr = decodeIcr(low, 0, false);
      return {
        text: `${icrText(icr).replace(/, to .*$/, "")}, ${icr.trigger}`,
        fields: icrFields(value, false).filter(({ name }) => kept.has(name)),
      };
    }
    case "SVR": {
      const svr = decodeSvr(low);
      return {
        text: `${svr.enabled ? "enabled" : "software-disabled"}, spurious vector ${hex(svr.vector, 2)}`,
        fields: [
          { name: "Spurious Vector", bits: "7:0", value: BigInt(svr.vector), text: hex(svr.vector, 2) },
          { name: "APIC Software Enable", bits: "8", value: BigInt(svr.enabled), text: svr.enabled ? "enabled" : "disabled" },
        ],
      };
    }
    default: {
      const index = lvtNames.findIndex((name) => register === `LVT ${name}`);
      if (index < 0) throw new UserError(`"${register}" is no register that can be decoded.`, "register");
      return { text: lvtText(decodeLvt(index, low)), fields: lvtFields(index, low) };
    }
  }
}
