// The timeline's page.
import { page, type PageParts } from "../page";

// The canvas is sized through CSSOM, which the policy allows; no element has a style attribute.
const content = `<header>
  <div role="tablist" aria-label="View">
    <button role="tab" id="tab-timeline" aria-controls="panel-timeline" aria-selected="true">Timeline</button>
    <button role="tab" id="tab-table" aria-controls="panel-table" aria-selected="false" tabindex="-1">Table</button>
    <button role="tab" id="tab-statistics" aria-controls="panel-statistics" aria-selected="false" tabindex="-1">Statistics</button>
  </div>
  <div>
    <label for="vectors">Vectors</label>
    <input type="text" id="vectors" size="14" placeholder="all, or 0xf0, 32-47" spellcheck="false" aria-describedby="vector-problem">
    <span id="vector-problem" role="alert"></span>
  </div>
  <details id="cpu-filter"><summary>CPUs</summary><div id="cpus" role="group" aria-label="CPUs shown"></div></details>
  <div>
    <label for="axis">Axis</label>
    <select id="axis"><option value="time">Virtual time</option><option value="instruction">Instructions</option></select>
  </div>
  <div role="group" aria-label="Zoom">
    <button id="zoom-out" title="Zoom out (-)" aria-label="Zoom out">&#8722;</button>
    <button id="zoom-in" title="Zoom in (+)" aria-label="Zoom in">+</button>
    <button id="fit" title="Show everything (0)">Fit</button>
  </div>
  <div><input type="checkbox" id="follow" checked><label for="follow">Follow</label></div>
  <div role="group" aria-label="Export">
    <button id="save-perfetto" title="Save what the filter shows as a trace for ui.perfetto.dev">Export Perfetto</button>
    <button id="save-png" title="Save what the timeline shows as a picture">Export PNG</button>
  </div>
</header>
<main>
  <section id="panel-timeline" role="tabpanel" aria-labelledby="tab-timeline">
    <div id="scroller" tabindex="0" role="application" aria-label="Interrupt timeline. Left and right move, plus and minus zoom, 0 shows everything, n and p go through the interrupts, Enter opens the handler. The Table tab has the same data as a table." aria-describedby="status">
      <div id="spacer"><canvas id="canvas" aria-hidden="true"></canvas></div>
    </div>
    <div id="legend" aria-hidden="true"></div>
  </section>
  <section id="panel-table" role="tabpanel" aria-labelledby="tab-table" hidden>
    <div class="scroll"><table id="records"></table></div>
    <div class="pages"><button id="previous">Older</button><button id="next">Newer</button><span id="position" role="status"></span></div>
  </section>
  <section id="panel-statistics" role="tabpanel" aria-labelledby="tab-statistics" hidden>
    <p id="statistics-range"></p>
    <div class="scroll"><table id="statistics-table"></table></div>
  </section>
</main>
<aside id="details" aria-label="Selected interrupt" hidden></aside>
<footer id="status" role="status"></footer>
<div id="announce" class="hidden-text" aria-live="polite"></div>
<div id="tooltip" role="tooltip" hidden></div>`;

export function timelineHtml(parts: PageParts): string {
  return page(parts, "Interrupt Timeline", content, "empty");
}
