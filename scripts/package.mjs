// Makes the .vsix, the file that VS Code installs: `npm run package [-- --out FILE]`. A .vsix is a zip file with a manifest in the Marketplace's own
// format (docs/adr/ says why no tool of others makes it).
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const out = process.argv.includes("--out")
  ? resolve(process.argv[process.argv.indexOf("--out") + 1])
  : join(root, `${manifest.name}-${manifest.version}.vsix`);
const maximumBytes = 3_000_000;

const bundles = join(root, "out", "package", "dist");
rmSync(bundles, { recursive: true, force: true });
mkdirSync(bundles, { recursive: true });
const built = spawnSync(process.execPath, ["scripts/build.mjs", "--package", relative(root, bundles)], { cwd: root, stdio: "inherit" });
if (built.status !== 0) process.exit(built.status ?? 1);

/** Files below a directory, by paths relative to the project. */
function filesBelow(directory, accept = () => true) {
  return readdirSync(join(root, directory), { recursive: true })
    .map((file) => join(directory, String(file)))
    .filter((file) => statSync(join(root, file)).isFile() && accept(file));
}

/** What goes into the package, by its path in it. */
const files = new Map();
const add = (path, from = path) => files.set(path.replaceAll("\\", "/"), readFileSync(join(root, from)));
for (const file of readdirSync(bundles)) add(`dist/${file}`, join("out", "package", "dist", file));
for (const file of ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]) add(file);
add("LICENSE.txt", "LICENSE");
for (const file of [...filesBelow("media"), ...filesBelow("syntaxes"), ...filesBelow("guests/smp")]) add(file);
add("guests/README.md");
// Pictures in other themes are for the repository: the dark ones show the same.
for (const file of filesBelow("docs", (path) => path.endsWith(".md") && !/(light|high-contrast)\.md$/.test(path))) add(file);
// Pictures that a packaged text shows.
for (const [path, bytes] of [...files]) {
  if (!path.endsWith(".md")) continue;
  for (const [, link] of String(bytes).matchAll(/\]\(([^)#:]+\.png)\)/g)) add(relative(root, join(root, dirname(path), link)));
}
// What is for working on the project, or is in the bundles.
const internal = new Set(["scripts", "devDependencies", "dependencies", "private"]);
const published = Object.fromEntries(Object.entries(manifest).filter(([key]) => !internal.has(key)));
files.set("package.json", Buffer.from(`${JSON.stringify(published, null, 2)}\n`));
/** Where the sources are, for the Marketplace's page; undefined while package.json names no repository. */
const repository = (manifest.repository?.url ?? manifest.repository)?.replace(/^git\+|\.git$/g, "");
const readme = String(files.get("README.md"));
// The licence has another name here. The Marketplace shows README.md alone: its links lead to the repository there, as its own tool writes them.
const linked =
  repository === undefined
    ? readme.replaceAll("](LICENSE)", "](LICENSE.txt)")
    : readme.replaceAll(
        /(!?)\[([^\]]*)\]\((?!\w+:|#)([^)]+)\)/g,
        (_, image, text, path) => `${image}[${text}](${repository}/${image ? "raw" : "blob"}/HEAD/${path})`,
      );
files.set("README.md", Buffer.from(linked));

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const property = (id, value) => `      <Property Id="${id}" Value="${escape(value)}" />`;
const asset = (type, path) => `    <Asset Type="Microsoft.VisualStudio.${type}" Path="extension/${path}" Addressable="true" />`;
const tags = [...manifest.keywords, "__ext_S", "__ext_s", ...(manifest.contributes.debuggers ?? []).map(({ type }) => `debugger:${type}`)];

const vsixManifest = `<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011" xmlns:d="http://schemas.microsoft.com/developer/vsx-schema-design/2011">
  <Metadata>
    <Identity Language="en-US" Id="${manifest.name}" Version="${manifest.version}" Publisher="${manifest.publisher}" />
    <DisplayName>${escape(manifest.displayName)}</DisplayName>
    <Description xml:space="preserve">${escape(manifest.description)}</Description>
    <Tags>${escape(tags.join(","))}</Tags>
    <Categories>${escape(manifest.categories.join(","))}</Categories>
    <GalleryFlags>Public</GalleryFlags>
    <Properties>
${[
  property("Microsoft.VisualStudio.Code.Engine", manifest.engines.vscode),
  property("Microsoft.VisualStudio.Code.ExtensionDependencies", ""),
  property("Microsoft.VisualStudio.Code.ExtensionPack", ""),
  property("Microsoft.VisualStudio.Code.ExtensionKind", manifest.extensionKind.join(",")),
  property("Microsoft.VisualStudio.Code.LocalizedLanguages", ""),
  property("Microsoft.VisualStudio.Services.Branding.Color", manifest.galleryBanner.color),
  property("Microsoft.VisualStudio.Services.Branding.Theme", manifest.galleryBanner.theme),
  ...(repository === undefined ? [] : [property("Microsoft.VisualStudio.Services.Links.Source", repository)]),
  property("Microsoft.VisualStudio.Services.GitHubFlavoredMarkdown", "true"),
  property("Microsoft.VisualStudio.Services.EnableMarketplaceQnA", String(manifest.qna)),
  property("Microsoft.VisualStudio.Services.Content.Pricing", "Free"),
].join("\n")}
    </Properties>
    <License>extension/LICENSE.txt</License>
    <Icon>extension/${manifest.icon}</Icon>
  </Metadata>
  <Installation>
    <InstallationTarget Id="Microsoft.VisualStudio.Code" />
  </Installation>
  <Dependencies />
  <Assets>
${[
  asset("Code.Manifest", "package.json"),
  asset("Services.Content.Details", "README.md"),
  asset("Services.Content.Changelog", "CHANGELOG.md"),
  asset("Services.Content.License", "LICENSE.txt"),
  asset("Services.Icons.Default", manifest.icon),
].join("\n")}
  </Assets>
</PackageManifest>
`;

const contentTypes = new Map([
  [".json", "application/json"],
  [".js", "application/javascript"],
  [".md", "text/markdown"],
  [".png", "image/png"],
  [".svg", "image/svg+xml"],
  [".wasm", "application/wasm"],
  [".css", "text/css"],
  [".txt", "text/plain"],
  [".vsixmanifest", "text/xml"],
]);
const extensions = new Set([".vsixmanifest", ...[...files.keys()].map((path) => extname(path)).filter((extension) => extension !== "")]);
const types = [...extensions].map(
  (extension) => `<Default Extension="${extension.slice(1)}" ContentType="${contentTypes.get(extension) ?? "application/octet-stream"}"/>`,
);
const contentTypesXml = `<?xml version="1.0" encoding="utf-8"?>\n<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">${types.join("")}</Types>\n`;

// The same content gives the same file.
const when = { mtime: new Date("2026-01-01T00:00:00Z"), level: 9 };
const entries = {
  "extension.vsixmanifest": [Buffer.from(vsixManifest), when],
  "[Content_Types].xml": [Buffer.from(contentTypesXml), when],
};
for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) entries[`extension/${path}`] = [bytes, when];
const zipped = zipSync(entries);
if (zipped.length > maximumBytes) {
  console.error(`The package has ${zipped.length} bytes; at most ${maximumBytes} are wanted.`);
  process.exit(1);
}
writeFileSync(out, zipped);
if (repository === undefined)
  console.warn(
    "package.json names no repository: the package installs and runs, but on the Marketplace's page the links and pictures of README.md would lead nowhere.",
  );
console.log(`${relative(process.cwd(), out)}: ${(zipped.length / 1e6).toFixed(2)} MB, ${files.size} files`);
