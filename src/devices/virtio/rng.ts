import type { State } from "../../common/state";
import type { DeviceContext } from "../device";
import type { StateReader } from "../stateReader";
import { VirtioDevice } from "./virtioDevice";

/** Bytes given for one request at most; a driver asks again for more. */
const REQUEST_LIMIT = 4096;
const WORD = 0xffff_ffff_ffff_ffffn;

/** Spreads a seed over 64 bits (SplitMix64). */
function mix(seed: bigint): bigint {
  let value = (seed + 0x9e3779b97f4a7c15n) & WORD;
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & WORD;
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & WORD;
  return value ^ (value >> 31n);
}

/** A virtio entropy device (virtio 1.2, 5.4). Its bytes come from the machine's seed, so that runs repeat: they are no secret. */
export class VirtioRng extends VirtioDevice {
  private state: bigint;

  /** @param seed of the machine */
  constructor(
    context: DeviceContext,
    name: string,
    private readonly seed: number,
  ) {
    super(context, name, { type: 4, classCode: 0x00ff00, queues: 1 });
    this.state = mix(BigInt(seed));
  }

  /** Eight more bytes (xorshift64*). */
  private next(): bigint {
    let value = this.state;
    value ^= value >> 12n;
    value ^= (value << 25n) & WORD;
    value ^= value >> 27n;
    this.state = value;
    return (value * 0x2545f4914f6cdd1dn) & WORD;
  }

  protected override notified(): void {
    const queue = this.queues[0];
    for (let head = queue.take(); head !== undefined; head = queue.take()) {
      const chain = queue.chain(head);
      const bytes = new Uint8Array(Math.min(chain.writableBytes, REQUEST_LIMIT));
      for (let at = 0; at < bytes.length; at += 8) {
        const word = this.next();
        for (let byte = 0; byte < 8 && at + byte < bytes.length; byte++) bytes[at + byte] = Number((word >> BigInt(8 * byte)) & 0xffn);
      }
      queue.give(head, queue.scatter(chain, 0, bytes));
    }
    this.tell(queue);
  }

  protected override deviceReset(): void {}

  /** A system reset starts the sequence anew. */
  override reset(): void {
    super.reset();
    this.state = mix(BigInt(this.seed));
  }

  protected override saveDevice(): State {
    return { state: this.state };
  }

  protected override restoreDevice(reader: StateReader): void {
    this.state = reader.bigint("state");
  }
}
