// What the extension and the timeline's webview say to each other.
import type { TimelinePage, TimelinePlace } from "../../adapter/timelineProtocol";

/** What the panel is about. */
export interface TimelineHead {
  /** Name of the debug session. */
  readonly session: string;
  /** Name that its data are kept under, for a reload of the window. */
  readonly key: string;
  /** Why nothing more will come, in one sentence; undefined while the session lives. */
  readonly ended: string | undefined;
}

export type ToTimeline =
  /** Begins anew: whatever is shown is of another session. */
  | { readonly kind: "head"; readonly head: TimelineHead }
  | { readonly kind: "page"; readonly page: TimelinePage }
  /** Shows only these vectors: what would be typed. */
  | { readonly kind: "filter"; readonly vectors: string }
  /** The person looks at this record. */
  | { readonly kind: "reveal"; readonly record: number };

export type FromTimeline =
  | { readonly kind: "ready" }
  | { readonly kind: "openPlace"; readonly place: TimelinePlace }
  | { readonly kind: "save"; readonly format: "png"; readonly base64: string }
  | { readonly kind: "save"; readonly format: "perfetto"; readonly text: string }
  | { readonly kind: "problem"; readonly text: string };
