import { bringUpLines, diagnoseBringUp } from "../diagnosis/doctor";
import type { Command } from "./command";

const doctor: Command = {
  name: "doctor",
  usage: "",
  summary: "how each CPU was brought up: INIT and SIPI history, first exception, the chain behind a triple fault",
  run: (_args, { session }) => {
    const report = diagnoseBringUp(session.machine, session.exceptions, session.symbols);
    return { text: bringUpLines(report).join("\n"), data: report };
  },
};

export const bringUpCommands: readonly Command[] = [doctor];
