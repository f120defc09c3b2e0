// All commands of the console, in the order in which the help lists them: one file for each topic.
import type { Command } from "./command";
import { descriptorCommands } from "./descriptorCommands";
import { injectCommands } from "./injectCommands";
import { interruptCommands } from "./interruptCommands";

export const commands: readonly Command[] = [...interruptCommands, ...injectCommands, ...descriptorCommands];
