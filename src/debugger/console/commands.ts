// All commands of the console, in the order in which the help lists them: one file for each topic.
import { bringUpCommands } from "./bringUpCommands";
import type { Command } from "./command";
import { descriptorCommands } from "./descriptorCommands";
import { explainCommands } from "./explainCommands";
import { injectCommands } from "./injectCommands";
import { interruptCommands } from "./interruptCommands";
import { lintCommands } from "./lintCommands";
import { runCommands } from "./runCommands";
import { watchCommands } from "./watchCommands";

export const commands: readonly Command[] = [
  ...interruptCommands,
  ...lintCommands,
  ...bringUpCommands,
  ...injectCommands,
  ...runCommands,
  ...watchCommands,
  ...descriptorCommands,
  ...explainCommands,
];
