/** A tiny assembler of 64-bit code for tests: the few instructions they need, by their bytes, with labels. Absolute addresses are below 2 GiB. */
import assert from "node:assert/strict";

export const reg = { rax: 0, rcx: 1, rdx: 2, rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7 } as const;
export type Register = keyof typeof reg;

/** Conditions of Jcc by their low opcode nibble. */
const conditions = { z: 4, nz: 5, c: 2, nc: 3 } as const;

interface Fixup {
  readonly at: number;
  readonly label: string;
  readonly relative: boolean;
}

export class Assembler {
  private readonly code: number[] = [];
  private readonly labels = new Map<string, number>();
  private readonly fixups: Fixup[] = [];

  /** Code is placed at physical and linear address `origin`. */
  constructor(readonly origin: number) {}

  /** Address of the next byte. */
  get here(): number {
    return this.origin + this.code.length;
  }

  bytes(...bytes: readonly number[]): this {
    for (const byte of bytes) this.code.push(byte & 0xff);
    return this;
  }

  label(name: string): this {
    assert.ok(!this.labels.has(name), `label ${name} twice`);
    this.labels.set(name, this.here);
    return this;
  }

  /** Fills with NOPs up to an address. */
  upTo(address: number): this {
    assert.ok(address >= this.here);
    while (this.here < address) this.nop();
    return this;
  }

  has(label: string): boolean {
    return this.labels.has(label);
  }

  /** Address of a label; of the byte `offset` after it. */
  at(label: string, offset = 0): bigint {
    const address = this.labels.get(label);
    assert.ok(address !== undefined, `no label ${label}`);
    return BigInt(address + offset);
  }

  assemble(): Uint8Array {
    const bytes = Uint8Array.from(this.code);
    const view = new DataView(bytes.buffer);
    for (const { at, label, relative } of this.fixups) {
      const target = Number(this.at(label));
      view.setInt32(at, relative ? target - (this.origin + at + 4) : target, true);
    }
    return bytes;
  }

  private reference(label: string, relative: boolean): this {
    this.fixups.push({ at: this.code.length, label, relative });
    return this.bytes(0, 0, 0, 0);
  }

  dword(value: number): this {
    return this.bytes(value, value >> 8, value >> 16, value >> 24);
  }

  /** mov r64, imm64 */
  mov(register: Register, value: number | bigint): this {
    this.bytes(0x48, 0xb8 + reg[register]);
    const bits = BigInt.asUintN(64, BigInt(value));
    return this.dword(Number(bits & 0xffff_ffffn) | 0).dword(Number(bits >> 32n) | 0);
  }

  /** mov r64, label */
  address(register: Register, label: string): this {
    return this.bytes(0x48, 0xc7, 0xc0 + reg[register]).reference(label, false);
  }

  private absolute(opcode: readonly number[], field: number, address: number): this {
    return this.bytes(...opcode, 0x04 | (field << 3), 0x25).dword(address);
  }

  /** inc dword [address] */
  inc(address: number): this {
    return this.absolute([0xff], 0, address);
  }

  /** mov [address], r64 */
  store(address: number, register: Register): this {
    return this.absolute([0x48, 0x89], reg[register], address);
  }

  /** mov r64, [address] */
  load(register: Register, address: number): this {
    return this.absolute([0x48, 0x8b], reg[register], address);
  }

  /** mov dword [address], imm32 */
  storeImmediate(address: number, value: number): this {
    return this.absolute([0xc7], 0, address).dword(value);
  }

  /** mov byte [address], imm8 */
  storeByte(address: number, value: number): this {
    return this.absolute([0xc6], 0, address).bytes(value);
  }

  /** mov byte [label + offset], imm8 */
  patchByte(label: string, offset: number, value: number): this {
    this.address("rdi", label);
    return this.bytes(0xc6, 0x47, offset, value);
  }

  /** cmp dword [address], imm32 */
  compare(address: number, value: number): this {
    return this.absolute([0x81], 7, address).dword(value);
  }

  jmp(label: string): this {
    return this.bytes(0xe9).reference(label, true);
  }

  call(label: string): this {
    return this.bytes(0xe8).reference(label, true);
  }

  jcc(condition: keyof typeof conditions, label: string): this {
    return this.bytes(0x0f, 0x80 + conditions[condition]).reference(label, true);
  }

  nop(count = 1): this {
    for (let i = 0; i < count; i++) this.bytes(0x90);
    return this;
  }

  cli = (): this => this.bytes(0xfa);
  sti = (): this => this.bytes(0xfb);
  hlt = (): this => this.bytes(0xf4);
  pushf = (): this => this.bytes(0x9c);
  popf = (): this => this.bytes(0x9d);
  iretq = (): this => this.bytes(0x48, 0xcf);
  ret = (): this => this.bytes(0xc3);
  pause = (): this => this.bytes(0xf3, 0x90);
  /** mov cr8, rax */
  setCr8 = (): this => this.bytes(0x44, 0x0f, 0x22, 0xc0);
  /** mov ss, ax */
  loadSs = (): this => this.bytes(0x8e, 0xd0);
  repMovsb = (): this => this.bytes(0xf3, 0xa4);
  repStosb = (): this => this.bytes(0xf3, 0xaa);
  /** monitor, of [rax] */
  monitor = (): this => this.bytes(0x0f, 0x01, 0xc8);
  mwait = (): this => this.bytes(0x0f, 0x01, 0xc9);

  /** push imm32, sign-extended */
  push(value: number): this {
    return this.bytes(0x68).dword(value);
  }

  pushLabel(label: string): this {
    return this.bytes(0x68).reference(label, false);
  }

  /** Writes the local APIC's register at `offset`: mov dword [rbx + offset], imm32, RBX being its base in every test. */
  apicWrite(offset: number, value: number): this {
    return this.bytes(0xc7, 0x83).dword(offset).dword(value);
  }

  /** Ends the run with a status through the debug-exit port. */
  exit(value = 0): this {
    return this.bytes(0xb0, value, 0xe6, 0xf4);
  }
}
