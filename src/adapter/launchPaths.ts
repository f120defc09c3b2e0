// Paths of a launch that are not whole: they start from the directory that the attribute "cwd" names.
import { resolve } from "node:path";

type Attributes = Readonly<Record<string, unknown>>;

/** Words that stand where a path may. */
const words: Readonly<Record<string, readonly string[]>> = { firmware: ["seabios"], serial: ["stdio", "terminal", "none"] };

/**
 * The attributes of a launch, checked or not, with whole paths: those that are not start from `directory`. What is no path stays as it is. A disk image's options behind its path stay behind it.
 */
export function withWholePaths(attributes: Attributes, directory: string): Record<string, unknown> {
  const whole = (value: unknown): unknown => (typeof value === "string" && value.trim() !== "" ? resolve(directory, value) : value);
  const change: Readonly<Record<string, (value: unknown) => unknown>> = {
    ...Object.fromEntries(["program", "initrd", "cdrom", "firmware", "serial", "record"].map((name) => [name, whole])),
    disks: (value) => (Array.isArray(value) ? value.map(whole) : value),
    symbols: (value) =>
      Array.isArray(value) ? value.map((entry) => (isObject(entry) ? { ...entry, file: whole(entry["file"]) } : whole(entry))) : value,
    sourceMap: (value) => (isObject(value) ? Object.fromEntries(Object.entries(value).map(([from, to]) => [from, whole(to)])) : value),
  };
  const changed = Object.entries(attributes).map(([name, value]): [string, unknown] => {
    const isWord = typeof value === "string" && words[name]?.includes(value);
    return [name, isWord || !Object.hasOwn(change, name) ? value : change[name](value)];
  });
  return { ...Object.fromEntries(changed), cwd: directory };
}

function isObject(value: unknown): value is Attributes {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
