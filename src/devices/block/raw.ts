import { type BlockSource, type ImageFile, SECTOR } from "./image";

/** An image that is the disk's content byte by byte. A last partial sector reads as filled up with zeros. */
export class RawImage implements BlockSource {
  readonly format = "raw";
  readonly size: number;
  readonly write: ((offset: number, bytes: Uint8Array) => void) | undefined;

  constructor(private readonly file: ImageFile) {
    this.size = Math.ceil(file.size / SECTOR) * SECTOR;
    this.write = file.writable ? (offset, bytes) => this.store(offset, bytes) : undefined;
  }

  read(offset: number, target: Uint8Array): void {
    const inside = Math.max(0, Math.min(target.length, this.file.size - offset));
    if (inside > 0) this.file.read(offset, target.subarray(0, inside));
    target.fill(0, inside);
  }

  /** The file keeps its length: what is behind its end inside the last sector is not stored. */
  private store(offset: number, bytes: Uint8Array): void {
    const inside = Math.max(0, Math.min(bytes.length, this.file.size - offset));
    if (inside > 0) this.file.write(offset, bytes.subarray(0, inside));
  }

  flush(): void {
    this.file.flush();
  }
}
