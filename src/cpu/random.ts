/** Steps of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
const GOLDEN = 0x9e3779b97f4a7c15n;

function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** The `index`th 64-bit random number of CPU `cpu` in a machine with `seed`: SplitMix64, each CPU its own sequence. */
export function randomNumber(seed: number, cpu: number, index: number): bigint {
  const start = mix(mix(BigInt(seed)) + BigInt(cpu + 1) * GOLDEN);
  return mix(start + BigInt(index + 1) * GOLDEN);
}
