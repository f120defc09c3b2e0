export { AssertionError, UserError, assert, unreachable } from "../common/errors";
