/** Instructions recorded on a real processor, replayed through the front end and the op interpreters: a sample of the committed forms. */
import { describe } from "node:test";
import { replayFolder } from "./vectorReplay";

describe("recorded instructions on the emitted interpreter", () => replayFolder("test/vectors/data", "emitted", 4));
describe("recorded instructions on the reference interpreter", () => replayFolder("test/vectors/data", "reference", 60));
describe("recorded instructions on generated code", () => replayFolder("test/vectors/data", "generated", 40));
