/* global process */
// The test-support client starts an adapter without arguments: this is `cli.js dap`.
process.argv.push("dap");
require("../../dist/cli.js");
