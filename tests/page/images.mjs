// Makes the pictures of the documents: images.mjs BASE OUTPUT-OF-THE-DEMO FOLDER. Called by scripts/screenshots.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.env.MODULES}/`);
const { chromium } = require("playwright-core");
const [base, output, folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none"] });

// -- The demo: what a terminal shows, as a page.

const STYLES = { 1: "b", 2: "dim", 31: "red", 32: "green", 33: "yellow", 36: "cyan" };
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const terminal = (text) => text.replace(/\r/g, "").split(/\x1b\[([0-9;]*)m/).map((part, at) => {
  if (at % 2 === 0) return escaped(part);
  const names = part.split(";").map((code) => STYLES[Number(code)]).filter(Boolean);
  return names.length > 0 ? `<span class="${names.join(" ")}">` : "</span>";
}).join("");

const demo = await browser.newPage({ viewport: { width: 1000, height: 600 }, deviceScaleFactor: 1.5 });
await demo.setContent(`<!doctype html><meta charset="utf-8"><style>
  body { margin: 0; background: #fff; } main { display: inline-block; background: #16191f; color: #d7dae0; border-radius: 10px; padding: 16px 22px 18px; }
  pre { margin: 0; font: 14px/1.5 "DejaVu Sans Mono", monospace; } .b { font-weight: 700; } .dim { color: #8b93a1; } .red { color: #ff7b72; }
  .green { color: #7ee787; } .yellow { color: #e3b341; } .cyan { color: #79c0ff; } .prompt { color: #8b93a1; }
</style><main><pre><span class="prompt">$ </span>lockgate demo --once\n${terminal(readFileSync(output, "utf8")).trimEnd()}</pre></main>`);
await demo.locator("main").screenshot({ path: `${folder}/demo.png` });

// -- The journal.

const visit = async (page, path) => { await page.goto(base + path, { waitUntil: "load" }); };
const journal = await browser.newPage({ locale: "en-GB", timezoneId: "UTC", colorScheme: "light", viewport: { width: 1280, height: 860 }, deviceScaleFactor: 1.25 });
await visit(journal, "/groups?state=all&order=count");
const group = await journal.locator("a.item-link", { hasText: "PSQLException" }).first().getAttribute("href");
await visit(journal, group);
const occurrence = await journal.locator("#rows a.item-link").first().getAttribute("href");
await visit(journal, occurrence);
await journal.screenshot({ path: `${folder}/occurrence.png`, animations: "disabled" });
await journal.setViewportSize({ width: 1280, height: 532 });
await visit(journal, "/");
await journal.screenshot({ path: `${folder}/overview.png`, animations: "disabled" });
await browser.close();
