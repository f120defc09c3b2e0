/** Exception vectors (SDM vol. 3, "Interrupt and Exception Handling"). */
export const EXC_DE = 0;
export const EXC_DB = 1;
export const EXC_NMI = 2;
export const EXC_BP = 3;
export const EXC_OF = 4;
export const EXC_BR = 5;
export const EXC_UD = 6;
export const EXC_NM = 7;
export const EXC_DF = 8;
export const EXC_TS = 10;
export const EXC_NP = 11;
export const EXC_SS = 12;
export const EXC_GP = 13;
export const EXC_PF = 14;
export const EXC_MF = 16;
export const EXC_AC = 17;
export const EXC_MC = 18;
export const EXC_XM = 19;

/** An exception that an instruction raised and the processor has yet to deliver. */
export interface PendingException {
  vector: number;
  /** -1: pushes none. */
  errorCode: number;
  /** For #PF: the faulting linear address; written to CR2 at delivery. */
  address: bigint;
  /** For #DB: the DR6 bits to set at delivery. */
  dr6: number;
  /** The instruction has taken effect and the exception belongs to the state it left (a new task that does not load): RIP stays as it is. */
  committed?: boolean;
}
