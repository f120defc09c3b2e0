import { lazyRows } from "./rows";

/** AES-NI, PCLMULQDQ and SHA: 0F 38. */
export const crypto38Rows = lazyRows(`
  C8 sha1nexte Vx,Wx np sha
  C9 sha1msg1 Vx,Wx np sha
  CA sha1msg2 Vx,Wx np sha
  CB sha256rnds2 Vx,Wx np sha
  CC sha256msg1 Vx,Wx np sha
  CD sha256msg2 Vx,Wx np sha
  DB aesimc Vx,Wx 66 aes
  DC aesenc Vx,Wx 66 aes
  DD aesenclast Vx,Wx 66 aes
  DE aesdec Vx,Wx 66 aes
  DF aesdeclast Vx,Wx 66 aes`);

/** 0F 3A. */
export const crypto3ARows = lazyRows(`
  44 pclmulqdq Vx,Wx,Ib 66 pclmulqdq
  CC sha1rnds4 Vx,Wx,Ib np sha
  DF aeskeygenassist Vx,Wx,Ib 66 aes`);

/** With VEX, of 256 bits where VAES and VPCLMULQDQ have it: map 2. */
export const vexCrypto38Rows = lazyRows(`
  DB vaesimc Vdq,Wdq 66 l0 aes avx
  DC vaesenc Vx,Hx,Wx 66 l0 aes avx
  DC vaesenc Vx,Hx,Wx 66 l1 vaes
  DD vaesenclast Vx,Hx,Wx 66 l0 aes avx
  DD vaesenclast Vx,Hx,Wx 66 l1 vaes
  DE vaesdec Vx,Hx,Wx 66 l0 aes avx
  DE vaesdec Vx,Hx,Wx 66 l1 vaes
  DF vaesdeclast Vx,Hx,Wx 66 l0 aes avx
  DF vaesdeclast Vx,Hx,Wx 66 l1 vaes`);

/** Map 3. */
export const vexCrypto3ARows = lazyRows(`
  44 vpclmulqdq Vx,Hx,Wx,Ib 66 l0 pclmulqdq avx
  44 vpclmulqdq Vx,Hx,Wx,Ib 66 l1 vpclmulqdq
  DF vaeskeygenassist Vdq,Wdq,Ib 66 l0 aes avx`);
