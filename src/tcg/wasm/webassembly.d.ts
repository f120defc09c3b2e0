/** The part of the WebAssembly JavaScript API that the engine uses; present in Node and in browsers alike. */
declare namespace WebAssembly {
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
    shared?: boolean;
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBufferLike;
  }
  class Table {
    constructor(descriptor: { element: "anyfunc"; initial: number });
    readonly length: number;
    grow(delta: number): number;
    /** The function at `index`, or null. */
    get(index: number): unknown;
    set(index: number, value: unknown): void;
  }
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }
  type ImportValue =
    | Memory
    | Table
    | ((...args: number[]) => number)
    | ((cpu: number) => bigint)
    | ((cpu: number, flags: bigint) => void)
    | ((cpu: number, address: bigint, kind: number) => number)
    | ((cpu: number, address: bigint, rip: bigint, operation: number) => number);
  type ModuleImports = Record<string, ImportValue>;
  class Instance {
    constructor(module: Module, imports: Record<string, ModuleImports>);
    readonly exports: Record<string, unknown>;
  }
}
