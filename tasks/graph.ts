/**
 * The task graph as Mermaid, from the registered tasks themselves, so that the
 * picture in the README cannot drift from the gulpfile.
 */

/** A node as `gulp.tree({ deep: true })` gives it. */
export interface TreeNode {
  readonly label: string;
  readonly type?: string;
  readonly branch?: boolean;
  readonly nodes?: readonly TreeNode[];
}

/** Mermaid flowchart of what the task `name` runs: an arrow means "then". */
export function mermaid(tree: { readonly nodes: readonly TreeNode[] }, name: string): string {
  const top = tree.nodes.find((node) => node.label === name);
  if (!top) throw new Error(`the task ${name} is not registered`);
  const edges = new Set<string>();
  const flow = walk(top, edges);
  for (const last of flow.last) edges.add(`  ${box(last)} --> ${name}([${name}])`);
  return `flowchart LR\n${[...edges].join('\n')}\n`;
}

/** Mermaid's ids hold no spaces; its labels do. */
function box(label: string): string {
  const id = label.replaceAll(/\W+/g, '_');
  return id === label ? label : `${id}[${label}]`;
}

interface Flow {
  readonly first: readonly string[];
  readonly last: readonly string[];
}

function walk(node: TreeNode, edges: Set<string>): Flow {
  const children = node.nodes ?? [];
  if (children.length === 0) return { first: [node.label], last: [node.label] };
  const flows = children.map((child) => walk(child, edges));
  if (node.label === '<parallel>') {
    return { first: flows.flatMap(({ first }) => first), last: flows.flatMap(({ last }) => last) };
  }
  for (let i = 1; i < flows.length; i += 1) {
    for (const from of flows[i - 1]?.last ?? [])
      for (const to of flows[i]?.first ?? []) edges.add(`  ${box(from)} --> ${box(to)}`);
  }
  return { first: flows[0]?.first ?? [], last: flows.at(-1)?.last ?? [] };
}

/** Print the graph of `artifacts` from gulp's registry. */
export function printGraph(registry: { tree(options: { deep: boolean }): unknown }): void {
  process.stdout.write(mermaid(registry.tree({ deep: true }) as { nodes: readonly TreeNode[] }, 'artifacts'));
}
