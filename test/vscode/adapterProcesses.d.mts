/** Process ids of the adapters of the extension in this folder, where the system tells: Linux. */
export function adapterProcesses(root: string): number[];

/** Milliseconds of processor time that a process has taken so far, in all its threads, to some ten; undefined where the system does not tell. */
export function processorTime(pid: number): number | undefined;
