// What the page's own parts share: requests, the sentences of the page, the address, and the loop that follows
// a job.

// Sentences are written in Python (`ui/words.py`) and come with the first part that is mounted.
export const words = {};
export const say = (props) => Object.assign(words, props.words);

export const final = new Set(["done", "failed", "cancelled", "interrupted"]);
const units = ["bytes", "KB", "MB", "GB", "TB"];
export const title = "SeedVR2 video restoration";

class RequestError extends Error {
  constructor(status, body) {
    super(body?.message || `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code || (status === 429 ? "too_many" : "internal");
    this.remedy = body?.remedy || "";
  }
}

// The page may live under a path of a proxy: addresses are relative to its base.
export const address = (path) => new URL(`api/${path}`, document.baseURI).href;

export async function request(path, { method = "GET", body, timeout_ms = 10000 } = {}) {
  const answer = await fetch(address(path), {
    method,
    credentials: "same-origin",
    cache: "no-store",
    headers: body ? { "content-type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
    signal: AbortSignal.timeout(timeout_ms),
  });
  const text = await answer.text();
  let value = null;
  try { value = text ? JSON.parse(text) : null; } catch { /* a proxy's own page */ }
  if (!answer.ok) throw new RequestError(answer.status, value?.error || value);
  return value;
}

export function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${count.toFixed(unit < 2 || count >= 100 ? 0 : 1)} ${units[unit]}`;
}

export function clock(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function when(unix_s) {
  const passed_s = Date.now() / 1000 - unix_s;
  if (passed_s < 60) return "just now";
  if (passed_s < 3600) return `${Math.round(passed_s / 60)} min ago`;
  const date = new Date(unix_s * 1000);
  const today = new Date().toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}

// element("p.sv-note", "text", child, {attribute: value})
export function element(kind, ...content) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  for (const item of content) {
    if (item === null || item === undefined) continue;
    if (typeof item === "string" || item instanceof Node) made.append(item);
    else for (const [name, value] of Object.entries(item)) {
      if (typeof value === "function") made.addEventListener(name, value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null) made.setAttribute(name, value);
    }
  }
  return made;
}

// What went wrong, what it means, what to do; the technical part is folded.
export function trouble({ code, message, remedy, details }) {
  const technical = `code: ${code}${details ? `\n${details}` : ""}`;
  return element(
    "div.sv-trouble", { role: "alert" },
    element("h3", words.troubles[code] || words.troubles.internal),
    element("p", message),
    remedy ? element("p.sv-remedy", remedy) : null,
    element(
      "details.sv-fold",
      element("summary", "Technical details"),
      element("pre", technical, { tabindex: "0", "aria-label": "Technical details" }),
      element("button.sv-button.sv-quiet", "Copy", { type: "button", "data-copy": true }),
    ),
  );
}

// Calls on_job with the job now and after every look, until it is final; survives every gap.
export function follow(id, on_job, on_gap = () => {}) {
  let timer = 0, misses = 0, stopped = false, looking = false;
  const later = (wait_ms) => { clearTimeout(timer); if (!stopped) timer = setTimeout(look, wait_ms); };
  async function look() {
    if (stopped || looking) return;
    looking = true;
    try {
      const job = await request(`jobs/${id}`);
      if (stopped) return;
      misses = 0;
      on_gap(false);
      on_job(job);
      if (final.has(job.state)) stop(); else later(document.hidden ? 3000 : 1000);
    } catch (error) {
      if (stopped) return;
      if (error.status === 404) { stop(); on_job({ id, state: "gone" }); return; }
      misses += 1;
      on_gap(misses > 1);
      later(Math.min(500 * misses, 4000));
    } finally {
      looking = false;
    }
  }
  function stop() {
    stopped = true;
    clearTimeout(timer);
    window.removeEventListener("online", look);
    document.removeEventListener("visibilitychange", look);
  }
  window.addEventListener("online", look);
  document.addEventListener("visibilitychange", look);
  look();
  return stop;
}

// ---- the address -----------------------------------------------------------------------------
const listeners = [];
const remembered = {
  get: () => { try { return localStorage.getItem("seedvr.open"); } catch { return null; } },
  set: (value) => {
    try { value ? localStorage.setItem("seedvr.open", value) : localStorage.removeItem("seedvr.open"); }
    catch { /* a private window may refuse */ }
  },
};

export function place() {
  const query = new URLSearchParams(location.search);
  return { job: query.get("job"), batch: query.get("batch") };
}

export function show(view) { document.documentElement.dataset.svView = view; }

function route() {
  const here = place();
  remembered.set(here.job ? `job=${here.job}` : here.batch ? `batch=${here.batch}` : "");
  if (!here.job && !here.batch) { show("start"); document.title = title; }
  for (const listener of listeners) listener(here);
}

export function go(query) {
  const url = new URL(location.href);
  for (const name of ["job", "batch"]) url.searchParams.delete(name);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  if (url.href !== location.href) history.pushState(null, "", url);
  route();
  window.scrollTo({ top: 0 });
}

export function on_route(listener) { listeners.push(listener); listener(place()); }

window.addEventListener("popstate", route);
// Whoever closes the page while a clip is restored finds it again at the plain address.
const here = place(), before = remembered.get();
if (!here.job && !here.batch && before) {
  const url = new URL(location.href);
  const [name, value] = before.split("=");
  url.searchParams.set(name, value);
  history.replaceState(null, "", url);
}
show(place().job ? "watch" : place().batch ? "batch" : "start");

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("[data-go]");
  if (link) { event.preventDefault(); go({}); return; }
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const text = button.parentElement.querySelector("pre").textContent;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
  catch { // Without https there is no clipboard: select it, so that a key press copies.
    getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
    button.textContent = "Selected: press Ctrl+C";
  }
});
