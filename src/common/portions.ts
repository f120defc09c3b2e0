/** How many instructions a host runs before it looks at what else there is: as many as take about `milliseconds` here, within bounds. */
export class Portions {
  constructor(
    private readonly milliseconds: number,
    private next: number,
    private readonly least: number,
    private readonly most: number,
  ) {}

  /** Instructions of the next portion. */
  get instructions(): number {
    return this.next;
  }

  /** The last portion took `milliseconds`. */
  took(milliseconds: number): void {
    if (milliseconds < this.milliseconds / 2) this.next = Math.min(this.next * 2, this.most);
    else if (milliseconds > this.milliseconds * 2) this.next = Math.max(Math.floor(this.next / 2), this.least);
  }
}
