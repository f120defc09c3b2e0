// The screen's page.
import { page, type PageParts } from "../page";

const content = `<main>
  <canvas id="screen" tabindex="0" role="application" aria-label="Guest screen. Keys go to the guest while it has the focus; Control and Alt together, let go, give it back." aria-details="text"></canvas>
  <pre id="text" class="hidden-text" role="region" aria-label="Text on the guest's screen"></pre>
</main>
<footer>
  <span id="status" role="status"></span>
  <span id="hint" aria-live="polite"></span>
  <button id="ctrl-alt-del">Send Ctrl+Alt+Del</button>
</footer>`;

export function screenHtml(parts: PageParts): string {
  return page(parts, "Guest Screen", content);
}
