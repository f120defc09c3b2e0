import assert from "node:assert/strict";
import { test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { MessageReader, frame } from "../../src/adapter/framing";

function readIn(bytes: Buffer, size: number): DebugProtocol.ProtocolMessage[] {
  const messages: DebugProtocol.ProtocolMessage[] = [];
  const reader = new MessageReader((message) => void messages.push(message));
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return messages;
}

test("messages come out whole, whatever pieces they come in", () => {
  // Lengths count bytes, not characters.
  const sent = [
    { seq: 1, type: "event", text: "Überlauf bei 0xfee00300" },
    { seq: 2, type: "event", text: "" },
    { seq: 3, type: "event", text: "x".repeat(5000) },
  ];
  const bytes = Buffer.concat(sent.map(frame));
  for (const size of [1, 2, 3, 7, 64, 1000, bytes.length]) assert.deepEqual(readIn(bytes, size), sent, `pieces of ${size}`);
});

test("other header fields are read over, a header without a length is skipped, and what is no JSON is refused", () => {
  const body = '{"seq":1}';
  const bytes = Buffer.from(`Content-Type: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  assert.deepEqual(readIn(bytes, 5), [{ seq: 1 }]);
  assert.deepEqual(readIn(Buffer.concat([Buffer.from("a warning\r\n\r\n"), frame({ seq: 2 })]), 4), [{ seq: 2 }]);
  assert.throws(() => readIn(Buffer.from("Content-Length: 3\r\n\r\n{{{"), 100), SyntaxError);
});
