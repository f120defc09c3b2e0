/** Gives the name that a mangled one stands for, with parameters; undefined when it is none. */
export type Demangle = (name: string) => string | undefined;

/** How mangled names begin: Itanium C++ and old Rust, new Rust; Mach-O and others put underscores before. */
const mangled = /^_{1,3}[ZR][\w.$@]+$/;
/** Longer names are shown as they are: a file may hold anything. */
const longest = 4_096;

/**
 * The readable form of a symbol's name, as debug information has it too: qualified, without parameters. Names that are not mangled stay as they are.
 */
export function readableName(name: string, demangle: Demangle | undefined): string {
  if (demangle === undefined || !mangled.test(name) || name.length > longest) return name;
  const full = demangle(name);
  // Of what it does not understand the library may take the underscores away.
  return full === undefined || name.endsWith(full) ? name : withoutResult(withoutParameters(full));
}

/** Where the name of an operator begins (`operator<`, `operator->`), whose signs are no brackets; the end of the name where it has none. */
function operatorAt(name: string): number {
  const at = name.search(/(?<![\w$])operator(?![\w$])/);
  return at < 0 ? name.length : at;
}

/** Mangled names of instances of templates have the type of the result too: `int ns::largest<int>`. */
function withoutResult(name: string): string {
  if (!name.endsWith(">")) return name;
  const end = operatorAt(name);
  let depth = 0;
  let start = 0;
  for (let at = 0; at < end; at++) {
    if ("<({[".includes(name[at])) depth++;
    else if (">)}]".includes(name[at])) depth--;
    else if (name[at] === " " && depth === 0) start = at + 1;
  }
  return name.slice(start);
}

/**
 * A name without the arguments of templates: `Box<int>::get<char>` is `Box::get`, as people write a breakpoint on all instances. Names of operators, and what begins with a bracket, stay as they are.
 */
export function withoutTemplates(name: string): string {
  if (!name.includes("<") || name.startsWith("<")) return name;
  const end = operatorAt(name);
  let depth = 0;
  let plain = "";
  for (let at = 0; at < end; at++) {
    if (name[at] === "<") {
      // Rust writes `align_of::<usize>`.
      if (depth === 0 && plain.endsWith("::")) plain = plain.slice(0, -2);
      depth++;
    } else if (name[at] === ">" && depth > 0) depth--;
    else if (depth === 0) plain += name[at];
  }
  return depth === 0 ? plain + name.slice(end) : name;
}

/** Whether a name might be another than it looks. */
export function isMangled(name: string): boolean {
  return mangled.test(name);
}

/** `ns::f(int) const` without its parameters and what follows them; of clones that compilers split off the mark stays. */
function withoutParameters(full: string): string {
  const clone = / \[clone [^\]]*\]$/.exec(full)?.[0] ?? "";
  const name = full.slice(0, full.length - clone.length).replace(/( const| volatile| &&?)+$/, "");
  if (!name.endsWith(")")) return full;
  let depth = 0;
  for (let at = name.length - 1; at > 0; at--) {
    if (name[at] === ")") depth++;
    else if (name[at] === "(" && --depth === 0) return name.slice(0, at) + clone;
  }
  return full;
}
