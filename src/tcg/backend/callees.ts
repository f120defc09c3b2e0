/** Functions that generated code calls, at the same index in every module. */
export const Callee = {
  run: 0,
  helper: 1,
  hostAddress: 2,
  getFlags: 3,
  setFlags: 4,
  walk: 5,
  bulkString: 6,
  findJump: 7,
  x87: 8,
  fastCall: 9,
  storeFlags: 10,
  jump: 11,
  enter: 12,
  multiplyHigh: 13,
  plainAddress: 14,
  checkSingle: 15,
  checkDouble: 16,
  address: 17,
} as const;
export const COMMON_FUNCTIONS = 18;
