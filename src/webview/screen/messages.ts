// What the extension and the screen's webview say to each other.
import type { KeyInput, ScreenResponse } from "../../adapter/screenProtocol";

export type ToScreen =
  | { readonly kind: "picture"; readonly picture: ScreenResponse }
  /** A line below the screen: of which session it is, and whether that still runs. */
  | { readonly kind: "status"; readonly text: string; readonly live: boolean };

export type FromScreen =
  | { readonly kind: "ready" }
  /** The picture has been drawn: the next may come. */
  | { readonly kind: "drawn"; readonly picture: number }
  | { readonly kind: "keys"; readonly keys: KeyInput[] };
