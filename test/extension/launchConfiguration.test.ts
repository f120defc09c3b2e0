import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { engines, exceptionFilters, launchDefaults, maximumCpus } from "../../src/adapter/protocol";
import { findProblem, withDefaults, type FileProbe } from "../../src/extension/launchConfiguration";

const files: FileProbe = { kind: (path) => (path.endsWith("/") ? "directory" : path.includes("missing") ? "missing" : "file") };
const good = withDefaults({ program: "/guest.elf" });

describe("launch configurations", () => {
  test("a program alone is enough, and given attributes win over defaults", () => {
    assert.equal(findProblem(good, files), undefined);
    assert.equal(withDefaults({ program: "/guest.elf", cpus: 1 }).cpus, 1);
  });

  test("a disk or a CD-ROM stands in for the program", () => {
    assert.equal(findProblem(withDefaults({ disks: ["/d"] }), files), undefined);
    assert.equal(findProblem(withDefaults({ cdrom: "/c", program: "" }), files), undefined);
    assert.equal(findProblem(withDefaults({ disks: [] }), files)?.attribute, "program");
  });

  test("a full one passes", () => {
    const full = {
      ...good,
      ...{
        initrd: "/i",
        disks: ["/d"],
        cdrom: "/c",
        firmware: "/f",
        cpuModel: "max",
        symbols: ["/s", { file: "/t", offset: "0xffffffff81000000" }],
      },
      ...{
        sourceMap: { "/build": "/src" },
        serial: "none",
        engine: "jit",
        quantum: 100,
        seed: 1,
        tripleFault: "reset",
        pace: true,
        record: "/r",
      },
      interruptBreakpoints: [{ filter: "interrupt.deliver", condition: "vector == 0xf0", hitCondition: "% 2", enabled: false }],
    };
    assert.equal(findProblem(full, files), undefined);
  });

  for (const [attribute, value, expected] of [
    ["program", undefined, /"program" is missing/],
    ["program", "", /"program" is missing/],
    ["program", undefined, /"disks" or a CD-ROM in "cdrom"/],
    ["program", "/missing.elf", /"program" names \/missing.elf, which does not exist/],
    ["program", "/dir/", /directory/],
    ["cpus", 0, /"cpus" must be a whole number from 1 to 64/],
    ["cpus", "4", /"cpus" must be a whole number/],
    ["memory", 1.5, /"memory" must be a whole number.*MiB/],
    ["initrd", "/missing", /"initrd" names/],
    ["disks", ["/a", "/missing"], /"disks" has an entry 2 that names \/missing/],
    ["symbols", [{ file: "/s", offset: "high" }], /"symbols" has an entry 1 that must have an offset/],
    ["sourceMap", ["/a"], /"sourceMap" must map/],
    ["cwd", "/file", /"cwd" must be a directory, not "\/file"/],
    ["stopOnEntry", "yes", /true or false/],
    ["engine", "fast", /one of auto, jit, interpreter/],
    ["tripleFault", "ignore", /"tripleFault" must be one of stop, reset/],
    ["interruptBreakpoints", [{ filter: "interrupt.sent" }], /entry 1 that has the unknown filter "interrupt.sent"/],
    ["interruptBreakpoints", [{ filter: "nmi", condition: "dst = 1" }], /wrong condition: Use == to compare\.$/],
    ["interruptBreakpoints", [{ filter: "nmi", hitCondition: 3 }], /wrong hitCondition/],
  ] as const) {
    test(`${attribute}: ${JSON.stringify(value)} is refused by name, in one sentence`, () => {
      const problem = findProblem({ ...good, [attribute]: value }, files);
      assert.equal(problem?.attribute, attribute);
      assert.match(problem.message, expected);
      assert.match(problem.message, /^The launch attribute .*\.$/);
    });
  }
});

describe("the manifest", () => {
  interface Property {
    default?: unknown;
    description?: string;
    markdownDescription?: string;
    enum?: string[];
    enumDescriptions?: string[];
    maximum?: number;
    items?: { properties?: Record<string, Property> };
  }
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
    contributes: { debuggers: { configurationAttributes: { launch: { properties: Record<string, Property> } } }[] };
  };
  const { properties } = manifest.contributes.debuggers[0].configurationAttributes.launch;

  test("describes every launch attribute, with the defaults and limits of the adapter's protocol", () => {
    for (const [name, property] of Object.entries(properties)) assert.ok(property.description ?? property.markdownDescription, name);
    for (const [name, value] of Object.entries(launchDefaults)) assert.equal(properties[name].default, value, name);
    assert.equal(properties["cpus"].maximum, maximumCpus);
    assert.deepEqual(properties["engine"].enum, [...engines]);
  });

  test("offers every exception filter", () => {
    const filter = properties["interruptBreakpoints"].items?.properties?.["filter"];
    assert.deepEqual(
      filter?.enum,
      exceptionFilters.map(({ filter }) => filter),
    );
    assert.deepEqual(
      filter.enumDescriptions,
      exceptionFilters.map(({ description }) => description),
    );
  });
});
