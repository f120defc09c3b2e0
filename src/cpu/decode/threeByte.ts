import { lazyRows } from "./rows";

/** SDM volume 2, table A-4: opcodes after 0F 38. */
export const map38Rows = lazyRows(`
  82:mem invpcid Gq,M 66 invpcid
  F0:mem movbe Gv,Mv nf movbe
  F1:mem movbe Mv,Gv nf movbe
  F0 crc32 Gy,Eb f2 sse4.2
  F1 crc32 Gy,Ev f2 sse4.2
  F6 adcx Gy,Ey 66 adx
  F6 adox Gy,Ey f3 adx
  00-FF simd - modrm`);

/** SDM volume 2, table A-5: opcodes after 0F 3A. */
export const map3ARows = lazyRows(`
  00-FF simd Ib modrm`);

/** VEX-encoded opcodes of map 2 (0F 38): BMI1 and BMI2; vexRows.ts has the vector instructions. */
export const vex38Rows = lazyRows(`
  F2 andn Gy,By,Ey np l0 bmi1
  F3/1 blsr By,Ey np l0 bmi1
  F3/2 blsmsk By,Ey np l0 bmi1
  F3/3 blsi By,Ey np l0 bmi1
  F5 bzhi Gy,Ey,By np l0 bmi2
  F5 pext Gy,By,Ey f3 l0 bmi2
  F5 pdep Gy,By,Ey f2 l0 bmi2
  F6 mulx Gy,By,Ey f2 l0 bmi2
  F7 bextr Gy,Ey,By np l0 bmi1
  F7 shlx Gy,Ey,By 66 l0 bmi2
  F7 sarx Gy,Ey,By f3 l0 bmi2
  F7 shrx Gy,Ey,By f2 l0 bmi2`);

/** VEX-encoded opcodes of map 3 (0F 3A): RORX. */
export const vex3ARows = lazyRows(`
  F0 rorx Gy,Ey,Ib f2 l0 bmi2`);
