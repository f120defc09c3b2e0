/**
 * Saved state of a device or a machine: plain data only, so that it can be hashed, compared, sent between threads and written to a file.
 */
export type State = null | boolean | number | bigint | string | Uint8Array | readonly State[] | { readonly [key: string]: State };

const text = new TextEncoder();

/** Feeds a canonical encoding of `state` to `sink`: same data, same bytes; object keys in sorted order. */
export function encodeState(state: State, sink: (bytes: Uint8Array) => void): void {
  const tag = (kind: string, body: string): void => sink(text.encode(`${kind}${body};`));
  if (state === null) tag("n", "");
  else if (typeof state === "boolean") tag("b", state ? "1" : "0");
  else if (typeof state === "number") tag("d", String(state));
  else if (typeof state === "bigint") tag("i", state.toString(16));
  else if (typeof state === "string") tag("s", `${state.length}:${state}`);
  else if (state instanceof Uint8Array) {
    tag("x", String(state.length));
    sink(state);
  } else if (Array.isArray(state)) {
    const list = state as readonly State[];
    tag("a", String(list.length));
    for (const item of list) encodeState(item, sink);
  } else {
    const record = state as { readonly [key: string]: State };
    const keys = Object.keys(record).sort();
    tag("o", String(keys.length));
    for (const key of keys) {
      tag("k", key);
      encodeState(record[key], sink);
    }
  }
}
