import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../../../src/common/errors";
import { featureNames, features } from "../../../src/cpu/features";
import { modelNames, parseCpuModel } from "../../../src/cpu/models";
import { arrange } from "../../../src/cpu/topology";

const refused = (run: () => unknown, message: RegExp): void =>
  assert.throws(run, (error) => error instanceof UserError && error.subject === "cpuModel" && message.test(error.message));
const parse = (text: string) => parseCpuModel(text, "cpuModel");

describe("the feature table", () => {
  test("gives every bit of CPUID one name", () => {
    const places = features.map(({ at, bit }) => `${at.join()},${bit}`);
    assert.equal(new Set(places).size, places.length);
    assert.equal(new Set(featureNames).size, featureNames.length);
  });
});

describe("CPU models", () => {
  test("each level has all of the one below", () => {
    for (let i = 1; i < modelNames.length; i++) {
      const [lower, higher] = [parse(modelNames[i - 1]), parse(modelNames[i])];
      for (const name of featureNames) assert.ok(higher.features[name] || !lower.features[name], `${modelNames[i]} has ${name}`);
    }
  });

  test("features are added with what they need and taken away with what needs them", () => {
    const more = parse("x86-64,+sse4.2").features;
    for (const name of ["sse3", "ssse3", "sse4.1", "sse4.2"] as const) assert.ok(more[name], name);
    assert.ok(!more.popcnt);
    const fewer = parse("x86-64-v2,-ssse3").features;
    assert.deepEqual([fewer.sse3, fewer.ssse3, fewer["sse4.1"], fewer["sse4.2"]], [true, false, false, false]);
    assert.ok(parse("max,-movbe,+movbe").features.movbe);
    assert.ok(!parse("max,+movbe,-movbe").features.movbe);
  });

  test("settings, in any case and with spaces", () => {
    const { vendor, arrangement } = parse("MAX, vendor=AMD, Cores=4");
    assert.equal(vendor, "amd");
    assert.deepEqual(arrangement, { cores: 4 });
    assert.equal(parse("max").physicalBits, 40);
    assert.equal(parse("max,phys-bits=36").physicalBits, 36);
  });

  test("mistakes name the attribute and list what there is", () => {
    refused(() => parse("pentium"), /CPU model "pentium".*x86-64, x86-64-v2, x86-64-v3, max/);
    refused(() => parse(""), /CPU model ""/);
    refused(() => parse("max,+warp"), /feature "warp".*movbe.*rdrand/);
    refused(() => parse("max,-sse2"), /takes away "sse2", which every 64-bit processor has/);
    refused(() => parse("max,movbe"), /"movbe": after the model come \+feature/);
    refused(() => parse("max,vendor=via"), /vendor "via": choose intel or amd/);
    refused(() => parse("max,speed=3"), /"speed=3": what can be set are vendor, phys-bits, sockets, cores, threads/);
    for (const width of ["35", "41", "0x28", ""])
      refused(() => parse(`max,phys-bits=${width}`), new RegExp(`"phys-bits=${width}": give a whole number from 36 to 40`));
    refused(() => parse("max,cores=0"), /"cores=0": give a whole number/);
  });
});

describe("topology", () => {
  test("ids number thread, core and socket in whole bits", () => {
    assert.deepEqual(arrange(4, {}, "cpuModel"), { sockets: 1, cores: 4, threads: 1, apicIds: [0, 1, 2, 3] });
    assert.deepEqual(arrange(6, { sockets: 2 }, "cpuModel").apicIds, [0, 1, 2, 4, 5, 6]);
    assert.deepEqual(arrange(12, { threads: 2, cores: 3 }, "cpuModel").apicIds, [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]);
  });

  test("no arrangement of 64 CPUs needs an id above 254", () => {
    for (let cpus = 1; cpus <= 64; cpus++)
      for (let threads = 1; threads <= cpus; threads++)
        for (let cores = 1; threads * cores <= cpus; cores++) {
          if (cpus % (threads * cores) !== 0) continue;
          const { apicIds } = arrange(cpus, { threads, cores }, "cpuModel");
          assert.equal(new Set(apicIds).size, cpus);
          assert.ok(Math.max(...apicIds) < 255);
        }
  });

  test("what does not come out is refused", () => {
    refused(() => arrange(4, { cores: 3 }, "cpuModel"), /cores=3, which 4 CPUs cannot be divided into/);
    refused(() => arrange(1, { threads: 2 }, "cpuModel"), /threads=2/);
    refused(() => arrange(8, { sockets: 2, cores: 2, threads: 1 }, "cpuModel"), /sockets=2,cores=2,threads=1/);
  });
});
