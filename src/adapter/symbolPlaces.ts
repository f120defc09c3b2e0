// Where the launch attribute `symbols` says that a file lies: checked by the editor before it asks, and by the adapter, which others ask too.

const isAddress = (value: unknown, pattern: RegExp): boolean =>
  typeof value === "number" ? Number.isSafeInteger(value) : typeof value === "string" && pattern.test(value);

/** What is wrong with `offset` and `sections` of a symbol file, to go after its name; undefined when nothing is. */
export function placesProblem(offset: unknown, sections: unknown): string | undefined {
  if (offset !== undefined && !isAddress(offset, /^-?(0x[0-9a-f]{1,16}|\d{1,20})$/i))
    return 'must have an offset such as "0xffffffff81000000"';
  if (sections === undefined) return undefined;
  if (typeof sections !== "object" || sections === null || Array.isArray(sections))
    return 'must have sections such as { ".init.text": "0xffffffffc0008000" }';
  for (const [name, address] of Object.entries(sections))
    if (!isAddress(address, /^(0x[0-9a-f]{1,16}|\d{1,20})$/i) || (typeof address === "number" && address < 0))
      return `must have an address such as "0xffffffffc0008000" for section ${name}`;
  return undefined;
}
