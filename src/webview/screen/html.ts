// The screen's page. Knows neither VS Code nor a document: the extension fills in addresses and the nonce.
import type { PageParts } from "../timeline/html";

export function screenHtml({ script, style, source, nonce }: PageParts): string {
  const policy = `default-src 'none'; style-src ${source}; script-src 'nonce-${nonce}'; img-src data:; font-src 'none'; connect-src 'none'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Guest Screen</title>
</head>
<body>
<main>
  <canvas id="screen" tabindex="0" role="application" aria-label="Guest screen. Keys go to the guest while it has the focus; Control and Alt together, let go, give it back." aria-describedby="text"></canvas>
  <pre id="text" class="hidden-text" aria-label="Text on the guest's screen"></pre>
</main>
<footer>
  <span id="status" role="status"></span>
  <span id="hint"></span>
  <button id="ctrl-alt-del">Send Ctrl+Alt+Del</button>
</footer>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>
`;
}
