import { type OpcodeRow, parseRows } from "./rows";

/** SDM volume 2, table A-4: opcodes after 0F 38. */
export const map38Rows: readonly OpcodeRow[] = parseRows(`
  82:mem invpcid Gq,M 66 invpcid
  F0:mem movbe Gv,Mv nf movbe
  F1:mem movbe Mv,Gv nf movbe
  F0 crc32 Gy,Eb f2 crc32
  F1 crc32 Gy,Ev f2 crc32
  F6 adcx Gy,Ey 66 adx
  F6 adox Gy,Ey f3 adx
  00-FF simd - modrm`);

/** SDM volume 2, table A-5: opcodes after 0F 3A. */
export const map3ARows: readonly OpcodeRow[] = parseRows(`
  00-FF simd Ib modrm`);

/** VEX-encoded opcodes of map 1 (0F): lengths only. */
export const vex0FRows: readonly OpcodeRow[] = parseRows(`
  00-6F simd - modrm
  70-73 simd Ib modrm
  74-76 simd - modrm
  77 simd -
  78-C1 simd - modrm
  C2 simd Ib modrm
  C3 simd - modrm
  C4-C6 simd Ib modrm
  C7-FF simd - modrm`);

/** VEX-encoded opcodes of map 2 (0F 38): BMI1 and BMI2 (all with VEX.L = 0), lengths of the others. */
export const vex38Rows: readonly OpcodeRow[] = parseRows(`
  F2 andn Gy,By,Ey np bmi1
  F3/1 blsr By,Ey np bmi1
  F3/2 blsmsk By,Ey np bmi1
  F3/3 blsi By,Ey np bmi1
  F5 bzhi Gy,Ey,By np bmi2
  F5 pext Gy,By,Ey f3 bmi2
  F5 pdep Gy,By,Ey f2 bmi2
  F6 mulx Gy,By,Ey f2 bmi2
  F7 bextr Gy,Ey,By np bmi1
  F7 shlx Gy,Ey,By 66 bmi2
  F7 sarx Gy,Ey,By f3 bmi2
  F7 shrx Gy,Ey,By f2 bmi2
  00-FF simd - modrm`);

/** VEX-encoded opcodes of map 3 (0F 3A): RORX, lengths of the others. */
export const vex3ARows: readonly OpcodeRow[] = parseRows(`
  F0 rorx Gy,Ey,Ib f2 bmi2
  00-FF simd Ib modrm`);
