import type { State } from "../../common/state";
import type { DeviceContext, RegisterView, Timer } from "../device";
import { RingQueue } from "../ringQueue";
import type { StateReader } from "../stateReader";
import { VirtioDevice } from "./virtioDevice";

const RECEIVE = 0;
const TRANSMIT = 1;
/** The driver may write single characters into the configuration before it has queues (5.3.3). */
const FEATURE_EMERGENCY_WRITE = 1n << 2n;
const EMERGENCY_WRITE = 8;
/** Bytes that wait for the guest; more are refused. */
const INPUT_CAPACITY = 0x10000;
/** Bytes that one notification sends at most; the rest follows a microsecond later. */
const BURST = 0x10000;
const BURST_TIME = 1000;

/** A virtio console with one port (virtio 1.2, 5.3): bytes from the guest go to `output`, bytes given to `receive` wait for it. */
export class VirtioConsole extends VirtioDevice {
  private readonly input = new RingQueue(INPUT_CAPACITY);
  private readonly timer: Timer;
  /** Chain that is being sent, and how many of its bytes were; -1 for none. */
  private sending = -1;
  private sent = 0;

  constructor(
    context: DeviceContext,
    name: string,
    private readonly output: (bytes: Uint8Array) => void,
  ) {
    super(context, name, { type: 3, classCode: 0x078000, queues: 2, features: FEATURE_EMERGENCY_WRITE, configuration: 12 });
    this.timer = context.clock.createTimer(name, () => this.transmit());
  }

  /** Bytes arrive for the guest. @returns how many were taken; the rest did not fit. */
  receive(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length && this.input.push(bytes[taken])) taken++;
    if (this.live) this.guarded(() => this.deliver());
    return taken;
  }

  protected override notified(index: number): void {
    if (index === RECEIVE) this.deliver();
    else if (this.timer.deadline === undefined) this.transmit();
  }

  /** Fills the guest's buffers with what waits. */
  private deliver(): void {
    const queue = this.queues[RECEIVE];
    while (this.input.length > 0) {
      const head = queue.take();
      if (head === undefined) break;
      const chain = queue.chain(head);
      const bytes = new Uint8Array(Math.min(chain.writableBytes, this.input.length));
      for (let at = 0; at < bytes.length; at++) bytes[at] = this.input.shift() ?? 0;
      queue.give(head, queue.scatter(chain, 0, bytes));
    }
    this.tell(queue);
  }

  private transmit(): void {
    if (!this.live) return;
    this.guarded(() => {
      const queue = this.queues[TRANSMIT];
      let left = BURST;
      while (left > 0) {
        if (this.sending < 0) {
          const head = queue.take();
          if (head === undefined) break;
          this.sending = head;
          this.sent = 0;
        }
        const chain = queue.chain(this.sending);
        const bytes = queue.gather(chain, this.sent, left);
        if (bytes.length > 0) this.output(bytes);
        this.sent += bytes.length;
        // An empty chain costs something as well.
        left -= bytes.length + 1;
        if (this.sent < chain.readableBytes) continue;
        queue.give(this.sending, 0);
        this.sending = -1;
      }
      if (left <= 0) this.timer.arm(this.context.clock.now() + BURST_TIME);
      this.tell(queue);
    });
  }

  protected override configurationWritten(offset: number): void {
    if (offset === EMERGENCY_WRITE) this.output(Uint8Array.of(this.deviceConfiguration[EMERGENCY_WRITE]));
  }

  protected override deviceReset(): void {
    this.timer.disarm();
    this.sending = -1;
    this.sent = 0;
    this.deviceConfiguration.fill(0);
  }

  override reset(): void {
    super.reset();
    this.input.clear();
  }

  protected override saveDevice(): State {
    return {
      input: Uint8Array.from(this.input.toArray()),
      sending: this.sending,
      sent: this.sent,
      deadline: this.timer.deadline ?? null,
    };
  }

  protected override restoreDevice(reader: StateReader): void {
    this.input.load([...reader.bytes("input")]);
    this.sending = reader.number("sending");
    this.sent = reader.number("sent");
    reader.timer("deadline", this.timer);
  }

  override registers(): readonly RegisterView[] {
    return [
      ...super.registers(),
      { name: "input waiting", value: BigInt(this.input.length), bits: 32, text: `${this.input.length} bytes` },
    ];
  }
}
