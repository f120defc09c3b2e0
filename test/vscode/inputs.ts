// Answers VS Code's dialogues in tests: the extension under test shares this module object with them.
import * as vscode from "vscode";

/** Runs a body whose next input box is answered with `text`; gives what the box was opened with. */
export async function answering(text: string | undefined, body: () => Promise<void>): Promise<vscode.InputBoxOptions> {
  const original = vscode.window.showInputBox;
  let asked: vscode.InputBoxOptions | undefined;
  const replacement = (options?: vscode.InputBoxOptions): Promise<string | undefined> => {
    asked = options ?? {};
    return Promise.resolve(text);
  };
  Object.assign(vscode.window, { showInputBox: replacement });
  try {
    await body();
  } finally {
    Object.assign(vscode.window, { showInputBox: original });
  }
  if (asked === undefined) throw new Error("no input box was opened");
  return asked;
}

/** Runs a body and gives the error messages that it shows. */
export async function errorsOf(body: () => Promise<unknown>): Promise<string[]> {
  const original = vscode.window.showErrorMessage;
  const shown: string[] = [];
  const replacement = (message: string): Promise<undefined> => {
    shown.push(message);
    return Promise.resolve(undefined);
  };
  Object.assign(vscode.window, { showErrorMessage: replacement });
  try {
    await body();
  } finally {
    Object.assign(vscode.window, { showErrorMessage: original });
  }
  return shown;
}
