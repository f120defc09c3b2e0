import { lazyRows } from "./rows";

const arithmetic = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"];
const shifts = ["rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"];

const opcode = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");

/** 00-3F: eight operations in six operand forms each; 80-83 the same with immediates. */
const arithmeticRows = arithmetic
  .map((name, index) => {
    const lock = name === "cmp" ? "" : "lock";
    const at = (form: number): string => opcode(index * 8 + form);
    return `
      ${at(0)} ${name} Eb,Gb ${lock}
      ${at(1)} ${name} Ev,Gv ${lock}
      ${at(2)} ${name} Gb,Eb
      ${at(3)} ${name} Gv,Ev
      ${at(4)} ${name} AL,Ib
      ${at(5)} ${name} rAX,Iz
      80/${index} ${name} Eb,Ib ${lock}
      81/${index} ${name} Ev,Iz ${lock}
      82/${index} ${name} Eb,Ib i64 ${lock}
      83/${index} ${name} Ev,Ibs ${lock}`;
  })
  .join("\n");

/** Shift group 2 in its three forms of count; /6 is SHL once more. */
const shiftRows = shifts
  .map(
    (name, index) => `
      C0/${index} ${name} Eb,Ib
      C1/${index} ${name} Ev,Ib
      D0/${index} ${name} Eb,1
      D1/${index} ${name} Ev,1
      D2/${index} ${name} Eb,CL
      D3/${index} ${name} Ev,CL`,
  )
  .join("\n");

const otherRows = `
  06 pushSeg ES i64
  07 popSeg ES i64
  0E pushSeg CS i64
  16 pushSeg SS i64
  17 popSeg SS i64
  1E pushSeg DS i64
  1F popSeg DS i64
  27 daa - i64
  2F das - i64
  37 aaa - i64
  3F aas - i64
  40+ inc Zv i64
  48+ dec Zv i64
  50+ push Zv d64
  58+ pop Zv d64
  60 pusha - i64
  61 popa - i64
  62:mem bound Gv,Ma i64
  63 arpl Ew,Gw i64
  63 movsx Gv,Ed o64
  68 push Iz d64
  69 imul Gv,Ev,Iz
  6A push Ibs d64
  6B imul Gv,Ev,Ibs
  6C ins Yb
  6D ins Yz
  6E outs Xb
  6F outs Xz
  70-7F jcc Jb f64
  84 test Eb,Gb
  85 test Ev,Gv
  86 xchg Eb,Gb lock
  87 xchg Ev,Gv lock
  88 mov Eb,Gb
  89 mov Ev,Gv
  8A mov Gb,Eb
  8B mov Gv,Ev
  8C movSeg Ev,Sw
  8D:mem lea Gv,M
  8E movSeg Sw,Ew
  8F/0 pop Ev d64
  90 pause - f3
  90+ xchg Zv,rAX
  98 cbw -
  99 cwd -
  9A callFar Ap i64
  9B wait -
  9C pushf - d64
  9D popf - d64
  9E sahf - i64
  9E sahf - o64 lahf
  9F lahf - i64
  9F lahf - o64 lahf
  A0 mov AL,Ob
  A1 mov rAX,Ov
  A2 mov Ob,AL
  A3 mov Ov,rAX
  A4 movs Yb,Xb
  A5 movs Yv,Xv
  A6 cmps Yb,Xb
  A7 cmps Yv,Xv
  A8 test AL,Ib
  A9 test rAX,Iz
  AA stos Yb
  AB stos Yv
  AC lods Xb
  AD lods Xv
  AE scas Yb
  AF scas Yv
  B0+ mov Zb,Ib
  B8+ mov Zv,Iv
  C2 ret Iw f64
  C3 ret - f64
  C4:mem les Gv,Mp i64
  C5:mem lds Gv,Mp i64
  C6/0 mov Eb,Ib
  C7/0 mov Ev,Iz
  C8 enter Iw,Ib d64
  C9 leave - d64
  CA retFar Iw
  CB retFar -
  CC int3 -
  CD int Ib
  CE into - i64
  CF iret -
  D4 aam Ib i64
  D5 aad Ib i64
  D6 salc - i64
  D7 xlat -
  E0 loopne Jb f64
  E1 loope Jb f64
  E2 loop Jb f64
  E3 jcxz Jb f64
  E4 in AL,Ib
  E5 in rAX,Ib
  E6 out Ib,AL
  E7 out Ib,rAX
  E8 call Jz f64
  E9 jmp Jz f64
  EA jmpFar Ap i64
  EB jmp Jb f64
  EC in AL,DX
  ED in rAX,DX
  EE out DX,AL
  EF out DX,rAX
  F1 int1 -
  F4 hlt -
  F5 cmc -
  F6/0 test Eb,Ib
  F6/1 test Eb,Ib
  F6/2 not Eb lock
  F6/3 neg Eb lock
  F6/4 mul Eb
  F6/5 imul Eb
  F6/6 div Eb
  F6/7 idiv Eb
  F7/0 test Ev,Iz
  F7/1 test Ev,Iz
  F7/2 not Ev lock
  F7/3 neg Ev lock
  F7/4 mul Ev
  F7/5 imul Ev
  F7/6 div Ev
  F7/7 idiv Ev
  F8 clc -
  F9 stc -
  FA cli -
  FB sti -
  FC cld -
  FD std -
  FE/0 inc Eb lock
  FE/1 dec Eb lock
  FF/0 inc Ev lock
  FF/1 dec Ev lock
  FF/2 call Ev f64
  FF/3:mem callFar Mp
  FF/4 jmp Ev f64
  FF/5:mem jmpFar Mp
  FF/6 push Ev d64`;

/** x87 escapes: every memory form, and the register forms that mean something. */
const x87Rows = `
  D8 x87 - modrm
  D9/0:mem x87 -
  D9/2:mem x87 -
  D9/3:mem x87 -
  D9/4:mem x87 -
  D9/5:mem x87 -
  D9/6:mem x87 -
  D9/7:mem x87 -
  D9/0:reg x87 -
  D9/1:reg x87 -
  D9/2:reg:r0 x87 -
  D9/3:reg x87 -
  D9/4:reg:r0 x87 -
  D9/4:reg:r1 x87 -
  D9/4:reg:r4 x87 -
  D9/4:reg:r5 x87 -
  D9/5:reg:r0 x87 -
  D9/5:reg:r1 x87 -
  D9/5:reg:r2 x87 -
  D9/5:reg:r3 x87 -
  D9/5:reg:r4 x87 -
  D9/5:reg:r5 x87 -
  D9/5:reg:r6 x87 -
  D9/6:reg x87 -
  D9/7:reg x87 -
  DA:mem x87 -
  DA/0:reg x87 -
  DA/1:reg x87 -
  DA/2:reg x87 -
  DA/3:reg x87 -
  DA/5:reg:r1 x87 -
  DB/0:mem x87 -
  DB/1:mem x87 -
  DB/2:mem x87 -
  DB/3:mem x87 -
  DB/5:mem x87 -
  DB/7:mem x87 -
  DB/0:reg x87 -
  DB/1:reg x87 -
  DB/2:reg x87 -
  DB/3:reg x87 -
  DB/4:reg:r0 x87 -
  DB/4:reg:r1 x87 -
  DB/4:reg:r2 x87 -
  DB/4:reg:r3 x87 -
  DB/4:reg:r4 x87 -
  DB/5:reg x87 -
  DB/6:reg x87 -
  DC x87 - modrm
  DD/0:mem x87 -
  DD/1:mem x87 -
  DD/2:mem x87 -
  DD/3:mem x87 -
  DD/4:mem x87 -
  DD/6:mem x87 -
  DD/7:mem x87 -
  DD/0:reg x87 -
  DD/1:reg x87 -
  DD/2:reg x87 -
  DD/3:reg x87 -
  DD/4:reg x87 -
  DD/5:reg x87 -
  DE:mem x87 -
  DE/0:reg x87 -
  DE/1:reg x87 -
  DE/2:reg x87 -
  DE/3:reg:r1 x87 -
  DE/4:reg x87 -
  DE/5:reg x87 -
  DE/6:reg x87 -
  DE/7:reg x87 -
  DF:mem x87 -
  DF/0:reg x87 -
  DF/1:reg x87 -
  DF/2:reg x87 -
  DF/3:reg x87 -
  DF/4:reg:r0 x87 -
  DF/5:reg x87 -
  DF/6:reg x87 -`;

/** SDM volume 2, table A-2. */
export const oneByteRows = lazyRows(arithmeticRows, shiftRows, otherRows, x87Rows);
