import { lazyRows } from "./rows";

const rows = `
  00/0 sldt Ev
  00/1 str Ev
  00/2 lldt Ew
  00/3 ltr Ew
  00/4 verr Ew
  00/5 verw Ew
  01/0:mem sgdt Ms
  01/0:reg:r1 vmcall - np
  01/1:mem sidt Ms
  01/2:mem lgdt Ms
  01/3:mem lidt Ms
  01/4 smsw Ev
  01/6 lmsw Ew
  01/3:reg:r1 vmmcall - np
  01/7:mem invlpg M
  01/1:reg:r0 monitor - np monitor
  01/1:reg:r1 mwait - np monitor
  01/1:reg:r2 clac - np smap
  01/1:reg:r3 stac - np smap
  01/2:reg:r0 xgetbv - np xsave
  01/2:reg:r1 xsetbv - np xsave
  01/5:reg:r6 rdpkru - np pku
  01/5:reg:r7 wrpkru - np pku
  01/7:reg:r0 swapgs - o64
  01/7:reg:r1 rdtscp - rdtscp
  02 lar Gv,Ew
  03 lsl Gv,Ew
  05 syscall -
  06 clts -
  07 sysret -
  08 invd -
  09 wbinvd -
  0B ud -
  0D nop Ev
  0E simd -
  0F simd Ib modrm
  10-17 simd - modrm
  18-1F nop Ev
  20 movCr Rq,Cq modreg
  21 movDr Rq,Dq modreg
  22 movCr Cq,Rq modreg
  23 movDr Dq,Rq modreg
  28-2F simd - modrm
  30 wrmsr -
  31 rdtsc -
  32 rdmsr -
  33 rdpmc -
  34 sysenter -
  35 sysexit -
  40-4F cmovcc Gv,Ev
  50-6F simd - modrm
  70-73 simd Ib modrm
  74-76 simd - modrm
  77 simd -
  78 simd Ib,Ib modrm 66 f2
  78 simd - modrm
  79 simd - modrm
  7C-7F simd - modrm
  80-8F jcc Jz f64
  90-9F setcc Eb
  A0 pushSeg FS d64
  A1 popSeg FS d64
  A2 cpuid -
  A3 bt Ev,Gv
  A4 shld Ev,Gv,Ib
  A5 shld Ev,Gv,CL
  A8 pushSeg GS d64
  A9 popSeg GS d64
  AA rsm -
  AB bts Ev,Gv lock
  AC shrd Ev,Gv,Ib
  AD shrd Ev,Gv,CL
  AE/0:reg rdfsbase Ry f3 o64 fsgsbase
  AE/1:reg rdgsbase Ry f3 o64 fsgsbase
  AE/2:reg wrfsbase Ry f3 o64 fsgsbase
  AE/3:reg wrgsbase Ry f3 o64 fsgsbase
  AE/0:mem fxsave M np
  AE/1:mem fxrstor M np
  AE/4:mem xsave M np xsave
  AE/5:mem xrstor M np xsave
  AE/6:mem xsaveopt M np xsaveopt
  AE/5:reg lfence - np
  AE/6:reg mfence - np
  AE/7:reg sfence - np
  AE/7:mem clflush Mb np
  AE/7:mem clflush Mb 66 clflushopt
  AE/6:mem clflush Mb 66 clwb
  AE simd - modrm
  AF imul Gv,Ev
  B0 cmpxchg Eb,Gb lock
  B1 cmpxchg Ev,Gv lock
  B2:mem lss Gv,Mp
  B3 btr Ev,Gv lock
  B4:mem lfs Gv,Mp
  B5:mem lgs Gv,Mp
  B6 movzx Gv,Eb
  B7 movzx Gv,Ew
  B8 popcnt Gv,Ev f3 popcnt
  B9 ud - modrm
  BA/4 bt Ev,Ib
  BA/5 bts Ev,Ib lock
  BA/6 btr Ev,Ib lock
  BA/7 btc Ev,Ib lock
  BB btc Ev,Gv lock
  BC tzcnt Gv,Ev f3 bmi1
  BC bsf Gv,Ev
  BD lzcnt Gv,Ev f3 lzcnt
  BD bsr Gv,Ev
  BE movsx Gv,Eb
  BF movsx Gv,Ew
  C0 xadd Eb,Gb lock
  C1 xadd Ev,Gv lock
  C2 simd Ib modrm
  C3:mem movnti My,Gy np
  C4-C6 simd Ib modrm
  C7/1:mem cmpxchg16b M w1 o64 lock cx16
  C7/1:mem cmpxchg8b Mq w0 lock
  C7/3:mem xrstors M np xsaves
  C7/4:mem xsavec M np xsavec
  C7/5:mem xsaves M np xsaves
  C7/6:reg rdrand Rv nf rdrand
  C7/7:reg rdpid Rq f3 o64 rdpid
  C7/7:reg rdpid Rd f3 i64 rdpid
  C7/7:reg rdseed Rv nf rdseed
  C7 simd - modrm
  C8+ bswap Zv
  D0-FE simd - modrm
  FF ud - modrm`;

/** SDM volume 2, table A-3: opcodes after 0F. */
export const twoByteRows = lazyRows(rows);
