export * from "./types";
export { biosState } from "./state";
