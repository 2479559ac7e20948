// The upload area: a drop zone and a list of files that travel to the server in resumable pieces (tus).
// The component's value is {"uploads": [{id, name, size}], "pending": files that are still on their way}.

import "./tus.min.js";
import { bytes, element, endpoint, icon, timeLeft } from "./page.js";

const CHUNK_BYTES = 32 * 2 ** 20; // Proxies of hosted machines cut a request at 100 MB.
const AT_ONCE = 2;
// Counted anew whenever a piece has arrived.
const RETRY_DELAYS_MS = [0, 1000, 2000, 4000, 8000, 15000, 30000, 30000, 30000, 30000, 30000, 30000];
const RETRIED = new Set([0, 408, 409, 423, 425, 429]);
const CHECK_EVERY_MS = 500;
const SPEED_OVER_MS = 4000;
const KEPT = "seedvr-uploads"; // What this tab has uploaded, so that a reload does not lose it.
const ID_HEADER = /^[\w-]+$/;

/** Starts the component in `root`, the element that Gradio made for it. */
export function mount(root, props, watch) {
  const area = new UploadArea(root, props);
  watch("value", () => area.show(props.value));
  area.start();
}

class UploadArea {
  constructor(root, props) {
    this.props = props;
    this.zone = root.querySelector(".upload-zone");
    this.input = root.querySelector(".upload-input");
    this.list = root.querySelector(".upload-list");
    this.voice = root.querySelector(".upload-voice");
    this.files = []; // in the order they were chosen
    this.endpoint = endpoint("api/uploads");
  }

  async start() {
    this.input.addEventListener("change", () => this.takeChosen());
    this.catchDrops();
    window.addEventListener("online", () => this.files.forEach((file) => file.wake()));
    holdReloads(() => this.files.some((file) => file.isRunning));
    this.zone.dataset.ready = "";
    if (this.input.files.length) this.takeChosen(); // Somebody was quicker than this script.
    await this.restore();
    await this.showUnfinished();
  }

  takeChosen() {
    this.take([...this.input.files]);
    this.input.value = ""; // The same file may be chosen again.
  }

  catchDrops() {
    let inside = 0;
    const mark = (on) => this.zone.classList.toggle("is-over", on);
    this.zone.addEventListener("dragenter", () => mark(++inside > 0));
    this.zone.addEventListener("dragleave", () => mark(--inside > 0));
    this.zone.addEventListener("drop", (event) => {
      inside = 0;
      mark(false);
      event.preventDefault();
      this.take([...event.dataTransfer.files]);
    });
    // A file that misses the zone would replace the page and end every upload.
    for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
  }

  /** Adds chosen files and starts as many as may run at once. */
  take(chosen) {
    for (const blob of this.props.multiple === false ? chosen.slice(0, 1) : chosen) {
      const same = this.files.find((file) => file.isSame(blob));
      if (same && same.state !== "failed") {
        if (same.state === "unfinished") same.drop();
        else continue;
      } else same?.drop();
      if (this.props.multiple === false) this.files.slice().forEach((file) => file.remove());
      const file = new UploadedFile(this, blob);
      this.files.push(file);
      this.list.append(file.row);
      if (this.props.max_bytes && blob.size > this.props.max_bytes) {
        file.fail(`Larger than the limit of ${bytes(this.props.max_bytes)}.`, { again: false });
      } else if (blob.size === 0) {
        file.fail("The file is empty. Copy or download it again.", { again: false });
      }
    }
    this.next();
  }

  next() {
    const running = this.files.filter((file) => file.isRunning).length;
    const waiting = this.files.filter((file) => file.state === "waiting");
    waiting.slice(0, Math.max(0, AT_ONCE - running)).forEach((file) => file.send());
    this.tell();
  }

  forget(file) {
    this.files = this.files.filter((other) => other !== file);
    file.row.remove();
    this.next();
  }

  /** Hands the finished uploads to the page. */
  tell() {
    const facts = ({ id, name, size }) => ({ id, name, size });
    const uploads = this.files.filter((file) => file.state === "done").map(facts);
    const pending = this.files.filter((file) => file.isRunning || file.state === "waiting").length;
    remember(this.files.filter((file) => file.id && ["checking", "done"].includes(file.state)).map(facts));
    const value = { uploads, pending };
    if (JSON.stringify(this.props.value || { uploads: [], pending: 0 }) !== JSON.stringify(value)) {
      this.props.value = value;
    }
  }

  /** The page has set another value: shows what it holds; uploads under way go on. */
  show(value) {
    const wanted = value?.uploads ?? [];
    const shown = this.files.filter((file) => file.state === "done");
    shown.filter((file) => !wanted.some(({ id }) => id === file.id)).forEach((file) => file.drop());
    this.addDone(wanted.filter(({ id }) => !shown.some((file) => file.id === id)));
    this.tell();
  }

  addDone(uploads) {
    for (const upload of uploads) this.add(upload).set("done");
  }

  /** A row for what the server has already. */
  add({ id, name, size }) {
    const file = new UploadedFile(this, { name, size });
    file.id = id;
    this.files.push(file);
    this.list.append(file.row);
    return file;
  }

  /** After a reload: what this tab had uploaded and the server still has. */
  async restore() {
    const given = this.props.value?.uploads ?? [];
    const kept = given.length ? given : remembered();
    const there = await Promise.all(kept.map(async (upload) => (await facts(upload.id)).there));
    for (const file of kept.filter((_, index) => there[index]).map((upload) => this.add(upload))) file.check();
    this.tell();
  }

  /** After a reload: what was on its way. The browser does not let us reopen the file; its owner has to. */
  async showUnfinished() {
    for (const kept of await tus.defaultOptions.urlStorage.findAllUploads()) {
      if (!kept.uploadUrl?.startsWith(this.endpoint)) continue;
      const { there, offset, complete } = await facts(idOf(kept.uploadUrl));
      if (!there || complete) {
        tus.defaultOptions.urlStorage.removeUpload(kept.urlStorageKey);
        continue;
      }
      const name = kept.metadata?.filename ?? "a file";
      if (this.files.some((file) => file.name === name && file.size === kept.size)) continue;
      this.add({ name, size: kept.size }).unfinished(kept, offset ?? 0);
    }
  }

  say(sentence) {
    this.voice.textContent = sentence;
  }
}

class UploadedFile {
  constructor(area, blob) {
    this.area = area;
    this.blob = blob;
    this.name = blob.name;
    this.size = blob.size;
    this.sent = 0;
    this.samples = [];
    this.told = 0;
    this.bar = element("progress", { max: 100, value: 0, "aria-label": `Upload of ${this.name}` });
    this.line = element("span", { class: "upload-line" });
    this.badge = element("span", { class: "upload-badge", "aria-hidden": "true" });
    this.again = element("button", { type: "button", class: "upload-action" }, "Try again");
    this.again.addEventListener("click", () => this.restart());
    this.away = element("button", { type: "button", class: "upload-action upload-away" }, icon("cross"));
    this.away.addEventListener("click", () => this.remove());
    const name = element("span", { class: "upload-name", title: this.name }, this.name);
    const text = element("div", { class: "upload-text" }, name, this.line);
    this.row = element("li", { class: "upload-file" }, this.badge, text, this.again, this.away, this.bar);
    this.set("waiting");
  }

  get isRunning() {
    return ["sending", "retrying", "checking"].includes(this.state);
  }

  isSame(blob) {
    if (this.name !== blob.name || this.size !== blob.size) return false;
    // Once uploaded or named by the server only, name and size are all there is to compare.
    return this.blob.lastModified === undefined || this.blob.lastModified === blob.lastModified;
  }

  set(state, sentence) {
    this.state = state;
    this.row.dataset.state = state;
    const done = state === "done";
    this.badge.replaceChildren(icon({ done: "check", failed: "warning" }[state] ?? "file"));
    this.again.hidden = state !== "failed";
    this.bar.hidden = done || state === "failed";
    this.away.setAttribute("aria-label", `${done || state === "failed" ? "Remove" : "Cancel"} ${this.name}`);
    this.away.title = done || state === "failed" ? "Remove" : "Cancel";
    this.line.textContent = sentence ?? (done ? bytes(this.size) : `${bytes(this.size)} · waiting`);
  }

  send() {
    this.set("sending", "Starting…");
    this.area.say(`Uploading ${this.name}.`);
    this.upload = new tus.Upload(this.blob, {
      endpoint: this.area.endpoint,
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_DELAYS_MS,
      removeFingerprintOnSuccess: true,
      metadata: { filename: this.name, filetype: this.blob.type || "application/octet-stream" },
      // Behind a proxy the server may not know by which address it is called.
      onUploadUrlAvailable: () => {
        this.id = idOf(this.upload.url);
        this.upload.url = `${this.area.endpoint}/${this.id}`;
      },
      onProgress: (sent) => this.progress(sent),
      onShouldRetry: (error) => this.shouldRetry(error),
      onError: (error) => this.fail(explain(error)),
      onSuccess: () => this.check(),
    });
    this.upload.findPreviousUploads().then((previous) => {
      if (this.state !== "sending") return;
      if (previous.length) this.upload.resumeFromPreviousUpload(previous.at(-1));
      this.upload.start();
    });
  }

  shouldRetry(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    if (!RETRIED.has(status) && status < 500) return false;
    this.samples = [];
    this.set("retrying", `${bytes(this.sent)} of ${bytes(this.size)} · connection lost, trying again`);
    this.area.say(`The connection was lost. Trying again to upload ${this.name}.`);
    return true;
  }

  /** The line is back: no need to sit out the pause. */
  wake() {
    if (this.state === "retrying") this.upload.abort().then(() => this.upload.start());
    else if (this.state === "failed" && this.lost) this.restart();
  }

  progress(sent) {
    if (!["sending", "retrying"].includes(this.state)) return;
    const now = performance.now();
    this.sent = sent;
    this.samples.push([now, sent]);
    while (this.samples.length > 2 && now - this.samples[0][0] > SPEED_OVER_MS) this.samples.shift();
    const share = (100 * sent) / this.size;
    this.bar.value = share;
    this.set("sending", [`${bytes(sent)} of ${bytes(this.size)}`, ...this.pace(now)].join(" · "));
    if (share >= this.told + 25 && share < 100) {
      this.told = Math.floor(share / 25) * 25;
      this.area.say(`${this.name}: ${this.told} percent uploaded.`);
    }
  }

  /** Bytes a second and time left, once there is something to measure. */
  pace(now) {
    const [since, from] = this.samples[0];
    const rate = ((this.sent - from) / (now - since)) * 1000;
    if (!(now - since > 500 && rate > 0)) return [];
    return [`${bytes(rate)}/s`, timeLeft((this.size - this.sent) / rate)];
  }

  /** Everything has arrived; the server says whether it can use it. */
  async check() {
    this.bar.value = 100;
    this.set("checking", `${bytes(this.size)} · checking`);
    this.area.tell();
    let { there, error, ...told } = await facts(this.id);
    // The server reads the file before it says whether it can be restored.
    while (this.state === "checking" && there && !error && !told.input && told.complete !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, CHECK_EVERY_MS));
      ({ there, error, ...told } = await facts(this.id));
    }
    if (this.state !== "checking") return;
    if (error || !there) {
      this.fail(error ?? "The server did not keep the file.", { again: !error });
      return;
    }
    this.blob = { name: this.name, size: this.size };
    this.set("done");
    this.area.say(`${this.name} is uploaded.`);
    this.area.next();
  }

  unfinished(kept, offset) {
    this.kept = kept;
    this.bar.value = (100 * offset) / this.size;
    this.set("unfinished", `${bytes(offset)} of ${bytes(this.size)} arrived · choose the file again to go on`);
  }

  /** lost: the connection failed for good. again: whether trying again makes sense. */
  fail(sentence, { again = true, lost = false } = {}) {
    const told = typeof sentence === "string" ? { sentence, again, lost } : sentence;
    this.set("failed", told.sentence);
    this.lost = told.lost;
    this.again.hidden = !told.again;
    this.area.say(`${this.name} was not uploaded. ${told.sentence}`);
    this.area.next();
  }

  restart() {
    this.told = 0;
    this.set("waiting");
    this.area.next();
  }

  /** Takes the file off the list and off the server. */
  remove() {
    const wasRunning = this.isRunning || this.state === "failed";
    this.set("removed", "Cancelling…");
    this.area.say(`${this.name} was removed.`);
    if (this.kept) tus.defaultOptions.urlStorage.removeUpload(this.kept.urlStorageKey);
    const url = this.kept?.uploadUrl ?? (this.id && `${this.area.endpoint}/${this.id}`);
    const gone = () => url && tus.Upload.terminate(url, {}).catch(() => {}); // It expires by itself, too.
    if (wasRunning && this.upload) this.upload.abort(true).catch(gone);
    else gone();
    this.area.forget(this);
  }

  /** Takes the file off the list alone. */
  drop() {
    this.state = "removed";
    this.area.files = this.area.files.filter((other) => other !== this);
    this.row.remove();
  }
}

/**
 * After a lost connection Gradio reloads the page as soon as its server answers. That would end uploads, which
 * go on by themselves: while `isBusy`, the server seems to give Gradio no answer yet.
 */
function holdReloads(isBusy) {
  const fetch = window.fetch.bind(window);
  window.fetch = (input, ...rest) => {
    const asked = String(input?.url ?? input);
    return asked.endsWith("/app_id") && isBusy()
      ? Promise.reject(new TypeError("files are on their way"))
      : fetch(input, ...rest);
  };
}

function idOf(url) {
  return new URL(url, document.baseURI).pathname.replace(/\/$/, "").split("/").pop();
}

/** What the server knows of an upload; `there` is false only where it has said so. */
async function facts(id) {
  if (!ID_HEADER.test(id)) return { there: false };
  try {
    const response = await fetch(endpoint(`api/uploads/${id}`), { headers: { Accept: "application/json" } });
    if (response.status === 404 || response.status === 410) return { there: false };
    const told = await response.json().catch(() => ({}));
    return { there: true, ...told, error: sentenceOf(told) };
  } catch {
    return { there: true };
  }
}

/** The error in an answer of the server, as one text; undefined where there is none. */
function sentenceOf(told) {
  const error = told.error ?? told;
  return [error.message, error.remedy].filter(Boolean).join(" ") || undefined;
}

/** Why an upload failed, in words, and whether to offer another try. */
function explain(error) {
  const status = error.originalResponse?.getStatus() ?? 0;
  let told;
  try {
    told = sentenceOf(JSON.parse(error.originalResponse.getBody()));
  } catch {
    told = undefined;
  }
  if (told) return { sentence: told, again: status >= 500, lost: false };
  if (status === 413) return { sentence: "The file is larger than the server takes.", again: false };
  if (status === 401 || status === 403) return { sentence: "Not allowed. Reload the page, then try again.", again: true };
  if (status === 507) return { sentence: "The server's disk is full.", again: true };
  if (status) return { sentence: `The server answered with error ${status}.`, again: true };
  return { sentence: "The server cannot be reached. What arrived is kept.", again: true, lost: true };
}

function remember(uploads) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(uploads));
  } catch {
    // Storage may be forbidden; then a reload forgets.
  }
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}
