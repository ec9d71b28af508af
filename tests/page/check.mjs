// Looks at every page in a real browser: both themes, four widths, two languages. Fails on errors of the console, content wider than the
// window, violations that axe-core finds, foreign text that becomes code, and what does not work with or without a script.
// Called by `run`: check.mjs BASE FOLDER-OF-SCREENSHOTS
import { createRequire } from "node:module";
import { mkdirSync, writeFileSync } from "node:fs";

const require = createRequire(`${process.env.MODULES}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const [base, folder] = process.argv.slice(2);
const quick = process.env.QUICK === "1";
mkdirSync(folder, { recursive: true });
const WIDTHS = [[320, 640], [768, 1024], [1440, 900], [2560, 1440]];
const problems = [];
const problem = (text) => { problems.push(text); console.log(`PROBLEM ${text}`); };
let checks = 0;
const check = (holds, text) => { checks += 1; if (!holds) problem(text); };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none"] });
const context = (options = {}, cookies = {}) => browser.newContext({ locale: "en-GB", timezoneId: "Asia/Seoul", ...options }).then(async (context) => {
  await context.addCookies(Object.entries(cookies).map(([name, value]) => ({ name, value, url: base })));
  return context;
});
const open = async (context) => {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => { if (["error", "warning"].includes(message.type()) && !/status of (404|403|400|405)/.test(message.text())) problem(`${page.url()}: console: ${message.text()}`); });
  page.on("pageerror", (error) => problem(`${page.url()}: ${error}`));
  page.on("requestfailed", (request) => { if (!request.url().endsWith("/live") && !/ABORTED/.test(request.failure()?.errorText)) problem(`${page.url()}: ${request.url()} ${request.failure()?.errorText}`); });
  page.on("request", (request) => { if (!request.url().startsWith(base) && !request.url().startsWith("data:")) problem(`${page.url()} asks for ${request.url()}`); });
  page.on("dialog", (dialog) => { problem(`${page.url()}: dialog ${dialog.message()}`); dialog.dismiss(); });
  return page;
};
const visit = async (page, path) => {
  const response = await page.goto(base + path, { waitUntil: "load" });
  await page.waitForFunction(() => document.readyState === "complete");
  return response;
};

// The pages, found as a visitor finds them.
const scout = await open(await context());
await visit(scout, "/groups?state=all&order=count");
const groups = await scout.$$eval("a.item-link", (links) => links.map((link) => ({ href: link.getAttribute("href"), text: link.textContent })));
const group = (text) => groups.find((group) => group.text.includes(text))?.href;
const occurrence = async (text) => {
  await visit(scout, group(text));
  return scout.$eval("#rows a.item-link", (link) => link.getAttribute("href"));
};
const pages = {
  overview: "/",
  groups: "/groups?state=all",
  group: group("PSQLException"),
  "group-day": `${group("PSQLException")}?range=24h&by=backend`,
  errors: "/errors?since=1h",
  "errors-filtered": "/errors?q=zzzz&route=orders&status=5xx",
  "occurrence-java": await occurrence("PSQLException"),
  "occurrence-timeout": await occurrence("no response headers"),
  "occurrence-html": await occurrence("KeyError"),
  "occurrence-go": await occurrence("runtime error"),
  "occurrence-korean": await occurrence("카드"),
  "occurrence-refused": await occurrence("connection refused"),
  "occurrence-long": await occurrence("AbstractCompressed"),
  "occurrence-xss": await occurrence("Attack<script>"),
  routes: "/routes",
  configuration: "/configuration?show=all",
  missing: "/errors/none",
};

const overflow = () => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide <= 0) return "";
  const right = document.documentElement.clientWidth;
  const inside = (element) => { for (let at = element.parentElement; at; at = at.parentElement) if (/auto|scroll|hidden/.test(getComputedStyle(at).overflowX)) return true; return false; };
  const outside = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > right + 1 && !inside(element));
  return `${wide} px: ${outside.slice(0, 3).map((element) => `${element.tagName}.${element.getAttribute("class")}`).join(", ")}`;
};

const themes = ["light", "dark"];
for (const theme of themes) {
  for (const [width, height] of WIDTHS) {
    const shots = await context({ colorScheme: theme, viewport: { width, height } });
    const page = await open(shots);
    for (const [name, path] of Object.entries(pages)) {
      await visit(page, path);
      const wide = await page.evaluate(overflow);
      check(!wide, `${name} at ${width}, ${theme}: overflows by ${wide}`);
      check(await page.evaluate(() => window.xss === undefined), `${name}: foreign text became code`);
      if (!quick || width === 1440 || width === 320) await page.screenshot({ path: `${folder}/${name}-${width}-${theme}.png`, fullPage: true, animations: "disabled" });
    }
    await shots.close();
    // axe-core is put into the page, which its policy would not permit.
    const judged = await context({ colorScheme: theme, viewport: { width, height }, bypassCSP: true });
    const judge = await open(judged);
    for (const [name, path] of Object.entries(pages)) {
      if (width !== 1440 && width !== 320) continue;
      await visit(judge, path);
      await judge.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
      await judge.evaluate(axe);
      const found = await judge.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] }));
      checks += 1;
      for (const one of found.violations) problem(`${name} at ${width}, ${theme}: ${one.id}: ${one.help}: ${one.nodes.slice(0, 2).map((node) => `${node.target} ${node.failureSummary?.split("\n")[1]?.trim()}`).join(" | ")}`);
    }
    await judged.close();
  }
}

// Foreign text shows as text: every attack, in the list and on its own page.
const attacked = await open(await context());
await visit(attacked, "/errors?route=attacks");
const attacks = await attacked.$$eval("#rows a.item-link", (links) => links.map((link) => link.getAttribute("href")));
check(attacks.length === 10, `${attacks.length} attacks in the list`);
for (const path of [...attacks, "/errors?route=attacks", "/groups?state=all&order=first", `/errors?q=${encodeURIComponent("\"><img src=x onerror=window.xss=1>")}`, `/errors?route=${encodeURIComponent("'><svg/onload=window.xss=1>")}`]) {
  await visit(attacked, path);
  for (const element of await attacked.$$("main a.item-link, mark, code, td")) await element.dispatchEvent("mouseover");
  const state = await attacked.evaluate(() => ({
    xss: window.xss,
    foreign: document.querySelectorAll("main script, main img, main iframe, main math, main b[onmouseover], main [onerror], main [onload], a[href^='javascript:'], base, object, embed").length,
    inline: document.querySelectorAll("[style], style").length,
    text: document.body.textContent.includes("xss=1"),
  }));
  check(state.xss === undefined && state.foreign === 0 && state.inline === 0, `${path}: ${JSON.stringify(state)}`);
  check(state.text || path.includes("route="), `${path}: the attack is not shown`);
}

// Without a script everything can be read and done.
const plain = await context({ javaScriptEnabled: false });
const still = await open(plain);
for (const path of Object.values(pages)) {
  const response = await visit(still, path);
  check(response.status() === (path === pages.missing ? 404 : 200), `${path} without a script: ${response.status()}`);
  check(/default-src 'none'/.test(response.headers()["content-security-policy"]), `${path}: policy`);
}
await visit(still, pages.group);
check(await still.locator("time").first().textContent().then((text) => /ago|now/.test(text)), "times without a script");
await still.locator("button[value=known]").click();
check(await still.locator(".chip-known").first().isVisible(), "a form changes the state of a group");
await visit(still, "/errors");
await still.locator("select[name=route]").selectOption("orders");
await still.locator(".filters button").click();
check(still.url().includes("route=orders") && await still.locator("tbody tr").count() > 0, "filters without a script");

// With a script: keys, live updates, copies, the viewer's zone.
const lively = await context({ permissions: ["clipboard-read", "clipboard-write"] });
const live = await open(lively);
await visit(live, "/");
check(await live.locator(".live").isVisible(), "the button for live updates");
await live.keyboard.press("j");
check(await live.evaluate(() => document.activeElement.matches("a.item-link")), "j goes to the first row");
await live.keyboard.press("j");
await live.keyboard.press("k");
check(await live.evaluate(() => document.activeElement === document.querySelector("a.item-link")), "k goes back");
await live.keyboard.press("/");
check(await live.evaluate(() => document.activeElement.id === "search"), "/ goes to the search");
await live.keyboard.press("Escape");
await live.keyboard.press("?");
check(await live.locator("dialog").isVisible(), "? shows the shortcuts");
await live.keyboard.press("Escape");
await live.keyboard.press("g");
await Promise.all([live.waitForURL("**/errors"), live.keyboard.press("e")]);
await visit(live, pages["occurrence-java"]);
const id = pages["occurrence-java"].split("/").pop();
await live.locator("[data-copy]").click();
check(await live.evaluate(() => navigator.clipboard.readText()) === id, "the id is copied");
for (const [at, text] of [[0, "curl "], [1, "### "], [2, "\"request_id\""]]) {
  await live.evaluate(() => navigator.clipboard.writeText(""));
  await live.locator(".export-copy").nth(at).click();
  await live.waitForFunction((text) => navigator.clipboard.readText().then((copied) => copied.includes(text)), text);
}
const saved = live.waitForEvent("download");
await live.locator(".export-save").click();
check((await saved).suggestedFilename() === `${id}.toml`, "the test case is saved");
check(/GMT\+9|KST/.test(await live.locator("time[data-at]").first().textContent()), "times in the viewer's zone");
if (process.env.CASES) {
  for (const name of ["java", "timeout", "html", "go", "korean", "refused"]) {
    const response = await lively.request.get(`${base}${pages[`occurrence-${name}`]}.toml`);
    writeFileSync(`${process.env.CASES}/${name}.toml`, await response.text());
  }
}
await visit(live, "/groups?state=known");
const other = await open(lively);
await visit(other, pages.group);
const before = await live.locator("#groups .item").count();
await other.locator("button[value=resolved]").click();
await live.waitForFunction((before) => document.querySelectorAll("#groups .item").length === before - 1, before);
check(true, "a change shows at once");

// Roles, languages, empty states.
const viewer = await open(await context({}, { role: "viewer" }));
await visit(viewer, pages["occurrence-java"]);
const seen = await viewer.content();
check(!/PSQLException|orders-db\.internal:5432|OrderDao/.test(seen), "a viewer sees no original");
check((await visit(viewer, `${pages["occurrence-java"]}.json`)).status() === 403, "a viewer exports nothing");
check(await visit(viewer, "/errors?q=PSQLException").then(() => viewer.locator(".note").isVisible()), "a viewer is told of the search");
await visit(viewer, pages.group);
check(await viewer.locator("main form").count() === 0, "a viewer changes nothing");
const korean = await open(await context({ locale: "ko-KR", viewport: { width: 1440, height: 900 } }));
for (const [name, path] of [["overview", "/"], ["group", pages.group], ["occurrence-java", pages["occurrence-java"]], ["errors", "/errors"]]) {
  await visit(korean, path);
  check(await korean.evaluate(() => document.documentElement.lang === "ko"), `${name} in Korean`);
  check(!await korean.evaluate(overflow), `${name} in Korean overflows`);
  await korean.screenshot({ path: `${folder}/${name}-1440-korean.png`, fullPage: true });
}
await korean.locator("a[hreflang=en]").click();
check(await korean.evaluate(() => document.documentElement.lang === "en"), "the language is switched");
for (const content of ["empty", "off"]) {
  const empty = await open(await context({ viewport: { width: 1440, height: 900 } }, { content }));
  for (const path of ["/", "/groups", "/errors", "/routes", "/configuration"]) {
    check((await visit(empty, path)).status() === 200 && await empty.locator(".empty").count() > 0, `${path} with nothing to show`);
    await empty.screenshot({ path: `${folder}/${content}${path === "/" ? "" : path.replace("/", "-")}-1440-light.png` });
  }
}

// The form to log in, on a gateway with tokens: both themes, all widths, by keyboard and without a script.
if (process.env.GUARDED) {
  const guarded = process.env.GUARDED;
  const own = (options = {}) => browser.newContext({ locale: "en-GB", ...options });
  const at = async (options) => {
    const page = await (await own(options)).newPage();
    page.on("console", (message) => { if (["error", "warning"].includes(message.type()) && !/status of (401|403|429)/.test(message.text())) problem(`${page.url()}: console: ${message.text()}`); });
    page.on("pageerror", (error) => problem(`${page.url()}: ${error}`));
    return page;
  };
  const type = async (page, token) => { await page.locator("#login-token").fill(token); await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press("Enter")]); };
  const judge = async (page, name) => {
    check(!await page.evaluate(overflow), `${name}: overflows`);
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] }));
    checks += 1;
    for (const one of found.violations) problem(`${name}: ${one.id}: ${one.help}: ${one.nodes.slice(0, 2).map((node) => node.target).join(" | ")}`);
  };
  for (const theme of themes) {
    for (const [width, height] of [[320, 640], [1280, 800], [2560, 1440]]) {
      const page = await at({ colorScheme: theme, viewport: { width, height }, bypassCSP: true });
      await page.goto(`${guarded}/errors?status=502`);
      check(page.url().includes("/login?to="), "a browser is led to the form");
      check(await page.evaluate(() => document.activeElement.id === "login-token"), "the field has the focus");
      await judge(page, `login at ${width}, ${theme}`);
      await page.screenshot({ path: `${folder}/login-${width}-${theme}.png`, animations: "disabled" });
      if (width === 1280 || width === 320) {
        await type(page, "wrong");
        check(await page.locator("[role=alert]").isVisible() && await page.locator("#login-token").inputValue() === "", "a wrong token is told");
        await judge(page, `login refused at ${width}, ${theme}`);
        await page.screenshot({ path: `${folder}/login-wrong-${width}-${theme}.png`, animations: "disabled" });
        await type(page, "token-of-operators");
        check(page.url() === `${guarded}/errors?status=502`, `the login leads back: ${page.url()}`);
        check(await page.locator(".session").isVisible(), "the session is shown");
        check(!await page.evaluate(overflow), `a page with a session at ${width} overflows`);
        await page.screenshot({ path: `${folder}/session-${width}-${theme}.png`, animations: "disabled" });
        await judge(page, `session at ${width}, ${theme}`);
      }
      await page.context().close();
    }
  }
  const plain = await at({ javaScriptEnabled: false, locale: "ko-KR" });
  await plain.goto(`${guarded}/`);
  check(await plain.locator("html").getAttribute("lang") === "ko", "the form in Korean");
  await plain.screenshot({ path: `${folder}/login-korean.png` });
  await Promise.all([plain.waitForNavigation({ waitUntil: "load" }), plain.locator("a[hreflang=en]").click()]);
  check(await plain.locator("html").getAttribute("lang") === "en", "the language is switched before the login");
  await type(plain, "token-of-viewers");
  const [cookie] = (await plain.context().cookies()).filter((cookie) => cookie.name.endsWith("lockgate-session"));
  check(cookie?.httpOnly && cookie.sameSite === "Strict" && !cookie.value.includes("token-of"), `the cookie: ${JSON.stringify(cookie)}`);
  check(await plain.locator(".session").textContent().then((text) => text.includes("Viewer")), "a viewer is told so");
  // A link of another site: the browser keeps the cookie back, and the session is found nevertheless.
  const [host, port] = [new URL(guarded).hostname, new URL(guarded).port];
  check(host === "127.0.0.1", `the gateway is at ${host}`);
  const guest = await at({});
  await guest.goto(`${guarded}/login`);
  await type(guest, "token-of-viewers");
  await guest.goto(`http://localhost:${port}/login`);
  await guest.evaluate((to) => { const link = document.createElement("a"); link.href = to; link.textContent = "elsewhere"; link.id = "elsewhere"; document.body.append(link); }, `${guarded}/routes`);
  await guest.locator("#elsewhere").click();
  await guest.waitForURL(`${guarded}/routes`);
  check(await guest.locator(".session").isVisible(), "a link of another site leads to the page");
  await guest.locator(".session button").click();
  await guest.waitForURL(`${guarded}/login`);
  await guest.goto(`${guarded}/routes`);
  check(guest.url().includes("/login?to="), "a logout ends the session");
  // A page whose session is over says so, and asks for nothing by itself.
  const open = await at({ permissions: ["clipboard-read", "clipboard-write"] });
  await open.goto(`${guarded}/login`);
  await type(open, "token-of-operators");
  await open.context().clearCookies();
  await open.evaluate(() => fetch("/api/errors").then((response) => { window.status403 = response.status; }));
  check(await open.evaluate(() => window.status403) === 401, "an API without a session");
}
await browser.close();
console.log(`${checks} checks, ${problems.length} problems; screenshots in ${folder}`);
process.exit(problems.length ? 1 : 0);
