import { Source } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { basename, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { UserError } from "../machine/errors";
import type { Args } from "./arguments";
import type { ClientSettings } from "./context";

/** A source file as the client names it: clients take no relative paths, which debug information may have. */
export function toSource(path: string, client: ClientSettings): DebugProtocol.Source {
  return new Source(basename(path), client.uris ? pathToFileURL(path).href : resolve(path));
}

/** A place in code with the whole path of its file. */
export function wholePath<Place extends { file?: string }>(place: Place): Place {
  return place.file === undefined ? place : { ...place, file: resolve(place.file) };
}

/** The path in a request's `source`. */
export function sourcePath(args: Args, client: ClientSettings): string {
  const source = args.object("source");
  const path = source.text("path");
  if (path === "") throw new UserError('The argument "source" has an empty path.', "source");
  return client.uris && path.startsWith("file:") ? fileURLToPath(path) : path;
}

export function toClientLine(line: number, client: ClientSettings): number {
  return client.lineBase === 1 ? line : Math.max(0, line - 1);
}

export function fromClientLine(line: number, client: ClientSettings): number {
  return client.lineBase === 1 ? line : line + 1;
}

export function toClientColumn(column: number, client: ClientSettings): number {
  return client.columnBase === 1 ? column : Math.max(0, column - 1);
}
