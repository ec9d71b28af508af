// What the pages do beyond links and forms: times in the viewer's zone, live updates, shortcuts, copies. Every page works without it.
"use strict";
(() => {
  const { documentElement: root, body } = document;
  const language = root.lang;
  const found = (selector, from = document) => [...from.querySelectorAll(selector)];
  // The clock of the server counts: that of the viewer may be wrong.
  let ahead = Date.now() - Number(body.dataset.now);
  const say = (text) => { document.getElementById("said").textContent = text; };

  // -- Times

  const relative = new Intl.RelativeTimeFormat(language, { style: "narrow", numeric: "always" });
  const absolute = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  const precise = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "short", hourCycle: "h23" });
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const ago = (at) => {
    const seconds = Math.max(0, Math.round((Date.now() - ahead - at) / 1000));
    if (seconds < 60) return relative.format(-seconds, "second");
    if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), "minute");
    if (seconds < 86400) return relative.format(-Math.floor(seconds / 3600), "hour");
    return relative.format(-Math.floor(seconds / 86400), "day");
  };
  const showTimes = (from = document) => {
    for (const time of found("time[data-ago]", from)) {
      const at = new Date(time.dateTime);
      const text = ago(at);
      if (time.textContent !== text) time.textContent = text;
      time.title = absolute.format(at);
    }
    for (const time of found("time[data-at]", from)) time.textContent = precise.format(new Date(time.dateTime));
    for (const tick of found("text[data-tick]", from)) tick.textContent = (tick.hasAttribute("data-day") ? day : clock).format(new Date(tick.dataset.tick));
  };
  showTimes();
  setInterval(showTimes, 5000);

  document.querySelector(".bar nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // -- Live updates: on a change, the page is asked for again, and what has changed takes its place.

  const policy = window.trustedTypes?.createPolicy("lockgate", { createHTML: (text) => text });
  const parse = (text) => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");
  const button = document.querySelector(".live");
  const parts = found("[data-fresh]");
  let source, loading = false, again = false;
  const state = (text, offline) => {
    button.querySelector(".live-text").textContent = text;
    button.classList.toggle("is-offline", offline);
  };
  const refresh = async () => {
    if (loading) { again = true; return; }
    loading = true;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      // A session that has ended leads to the form to log in, which does not take the place of what is read.
      if (response.redirected) state(body.dataset.offline, true);
      else if (response.ok) replace(parse(await response.text()));
    } catch { /* The next event tries again. */ }
    loading = false;
    if (again) { again = false; setTimeout(refresh, 1000); }
  };
  const replace = (fresh) => {
    ahead = Date.now() - Number(fresh.body.dataset.now);
    for (const now of found("[data-fresh]")) {
      const next = fresh.getElementById(now.id);
      if (!next || now.contains(document.getSelection().anchorNode) && !document.getSelection().isCollapsed) continue;
      showTimes(next);
      if (next.innerHTML === now.innerHTML) continue;
      const known = new Set(found("a.item-link", now).map((link) => link.getAttribute("href")));
      const focused = now.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const open = found("details", now).map((details) => details.open);
      now.replaceChildren(...next.childNodes);
      found("details", now).forEach((details, at) => { details.open = open[at] ?? false; });
      for (const link of found("a.item-link", now)) {
        if (link.getAttribute("href") === focused) link.focus();
        if (known.size && !known.has(link.getAttribute("href"))) link.closest("[data-row]")?.classList.add("is-fresh");
      }
    }
  };
  const stop = () => { source?.close(); source = undefined; };
  const listen = () => {
    stop();
    source = new EventSource("/live");
    source.onopen = () => state(body.dataset.live, false);
    source.onerror = () => { if (source) state(body.dataset.offline, true); };
    source.addEventListener("changed", refresh);
  };
  if (parts.length && window.EventSource) {
    const wanted = () => button.getAttribute("aria-pressed") === "true";
    const set = (on) => {
      button.setAttribute("aria-pressed", String(on));
      sessionStorage.setItem("lockgate-live", on ? "on" : "off");
      if (on) { listen(); refresh(); } else { stop(); state(body.dataset.paused, false); }
    };
    button.hidden = false;
    button.addEventListener("click", () => set(!wanted()));
    if (sessionStorage.getItem("lockgate-live") === "off") set(false); else listen();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stop(); else if (wanted() && !source) { listen(); refresh(); }
    });
    window.addEventListener("pagehide", stop);
  }

  // -- Copies

  const copied = (element) => {
    say(body.dataset.copied);
    element.classList.add("is-done");
    setTimeout(() => element.classList.remove("is-done"), 1500);
  };
  for (const one of found("[data-copy]")) {
    one.hidden = !navigator.clipboard;
    one.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(one.dataset.copy).textContent);
      copied(one);
    });
  }
  for (const link of found("a.export-copy")) {
    link.addEventListener("click", async (event) => {
      if (!navigator.clipboard || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      try {
        const response = await fetch(link.href);
        // A session that has ended leads to the form to log in, which is not to be copied.
        if (!response.ok || response.redirected) throw new Error(response.status);
        await navigator.clipboard.writeText(await response.text());
        copied(link);
      } catch { location.href = link.href; }
    });
  }
  for (const link of found("a.export-save")) link.setAttribute("download", "");

  // -- Shortcuts. They can be turned off, because a single key may be pressed by accident or by speech.

  const keys = document.querySelector("dialog.keys");
  const opener = document.querySelector(".keys-open");
  const box = document.querySelector(".keys-on");
  const areOn = () => localStorage.getItem("lockgate-keys") !== "off";
  opener.hidden = false;
  opener.addEventListener("click", () => keys.showModal());
  box.checked = areOn();
  box.addEventListener("change", () => localStorage.setItem("lockgate-keys", box.checked ? "on" : "off"));
  const move = (by) => {
    const links = found("[data-row] a.item-link");
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  let went = 0;
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape" && target.matches("input")) target.blur();
    if (!areOn() || keys.open || event.metaKey || event.ctrlKey || event.altKey || target.matches("input, select, textarea")) return;
    const isGoing = Date.now() - went < 1500;
    went = 0;
    const place = isGoing && found("nav a[data-key]").find((link) => link.dataset.key === event.key);
    if (place) place.click();
    else if (event.key === "g") { went = Date.now(); return; }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") document.getElementById("search").focus();
    else if (event.key === "?") keys.showModal();
    else return;
    event.preventDefault();
  });
})();
