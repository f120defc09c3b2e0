/**
 * The table of generated functions, twice: the interpreter's, and one for calls between generated functions, which goes with the modules that import it. V8, up to version 11, keeps every module that
 * has ever imported a table as long as the table.
 */
export class FunctionTable {
  /** What modules import. */
  imported: WebAssembly.Table;
  /** Modules that have imported it. */
  importers = 0;
  private readonly free: number[] = [];
  private next = 1;

  /** @param entered the interpreter's table */
  constructor(private readonly entered: WebAssembly.Table) {
    this.imported = this.empty();
  }

  private empty(): WebAssembly.Table {
    return new WebAssembly.Table({ element: "anyfunc", initial: this.entered.length });
  }

  /** A table without functions for the modules that come now: no live function is in an older one that is called by them or calls them. */
  renew(): void {
    this.imported = this.empty();
    this.importers = 0;
  }

  takeSlot(): number {
    const free = this.free.pop();
    if (free !== undefined) return free;
    if (this.next >= this.entered.length) for (const table of [this.imported, this.entered]) table.grow(table.length);
    return this.next++;
  }

  /** Nothing enters the function in `slot` any more. */
  clear(slot: number): void {
    for (const table of [this.imported, this.entered]) table.set(slot, null);
  }

  /** The slot, which is clear, may be taken by another function: no module that is still being made has one for it. */
  release(slot: number): void {
    this.free.push(slot);
  }

  /** A module has put a function there: the interpreter may enter it. */
  publish(slot: number): void {
    this.entered.set(slot, this.imported.get(slot));
  }
}
