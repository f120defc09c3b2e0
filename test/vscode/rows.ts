// The rows of the Interrupts view as its data provider gives them.
import type { InterruptNode } from "../../src/extension/interruptNodes";
import { api } from "./extension";

/** Every row, those of interrupt tables too, parents before children. */
export async function rows(): Promise<InterruptNode[]> {
  const { interrupts } = await api();
  const visit = async (nodes: readonly InterruptNode[]): Promise<InterruptNode[]> => {
    const lists = await Promise.all(nodes.map(async (node) => [node, ...(await visit(await interrupts.getChildren(node)))]));
    return lists.flat();
  };
  return visit(await interrupts.getChildren());
}

export async function row(id: string): Promise<InterruptNode | undefined> {
  return (await rows()).find((node) => node.id === id);
}
