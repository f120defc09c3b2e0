// What the pages in webviews have in common. Knows neither VS Code nor a document: the extension fills in addresses and the nonce.

export interface PageParts {
  readonly script: string;
  readonly style: string;
  /** Where the style sheet may come from, for the content security policy. */
  readonly source: string;
  /** Random word that allows this script and no other. */
  readonly nonce: string;
}

/** A page around the body's content, with a policy that lets nothing in but its own script and style sheet. `state`: classes of the body. */
export function page({ script, style, source, nonce }: PageParts, title: string, content: string, state = ""): string {
  const policy = `default-src 'none'; style-src ${source}; script-src 'nonce-${nonce}'; img-src data:; font-src 'none'; connect-src 'none'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>${title}</title>
</head>
<body${state === "" ? "" : ` class="${state}"`}>
${content}
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>
`;
}
