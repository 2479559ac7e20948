// Original and restored, compared: exact stills of any frame, and two videos played in step.
// The component's value says which job: {"job": ID}, {"job": ID, "frame": N} to begin elsewhere, null for none.

import { Clock } from "./compare_clock.js";
import { Stage } from "./compare_stage.js";
import { clock, element, endpoint, icon } from "./page.js";

const SIDES = ["before", "after"];
const STILL_AFTER_MS = 120; // No still is asked for while the slider is being dragged.
const ASK_EVERY_MS = 600;
const PREPARED_AHEAD_S = 120; // Copies of longer clips are only made when somebody wants to play them.
const LOOPED_S = 20;
const LOADING = "Loading the frame…";
const NOTED_AFTER_MS = 600;
const MODES = [
  ["wipe", "Divider", "wipe"],
  ["side", "Side by side", "side"],
  ["single", "One at a time", "single"],
];

export function mount(root, props, watch) {
  const comparison = new Comparison(root.querySelector(".compare"));
  watch("value", () => comparison.show(props.value));
  comparison.show(props.value);
}

class Comparison {
  constructor(root) {
    this.root = root;
    this.stage = new Stage();
    this.note = element("div", { class: "compare-note", role: "status", hidden: true });
    this.stage.node.append(this.note);
    this.root.replaceChildren(this.stage.node, this.buildBar());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.stage.onZoom = (zoom) => this.markZoom(zoom);
    this.stopped = new AbortController();
    document.addEventListener("fullscreenchange", () => {
      this.root.classList.toggle("is-full", document.fullscreenElement === this.root);
    });
  }

  // --- controls -------------------------------------------------------------------------------------------

  buildBar() {
    this.playButton = this.button("play", "Play (space)", () => this.toggle());
    const back = this.button("back", "Back one frame (←)", () => this.step(-1));
    const forward = this.button("forward", "On one frame (→)", () => this.step(1));
    this.scrubber = element("input", { type: "range", class: "compare-scrubber", min: 0, step: 1, value: 0 });
    this.scrubber.setAttribute("aria-label", "Frame");
    this.scrubber.addEventListener("input", () => this.goTo(Number(this.scrubber.value)));
    this.place = element("output", { class: "compare-place" });
    this.soundButton = this.button("sound", "Sound off (m)", () => this.toggleSound());
    this.modeButtons = MODES.map(([mode, title, name]) => this.button(name, title, () => this.setMode(mode)));
    this.zoomButtons = [1, 2, 4].map((zoom) => {
      const made = element("button", { type: "button", class: "compare-button", title: `Zoom ${zoom}×` }, `${zoom}×`);
      made.addEventListener("click", () => this.stage.zoomTo(zoom));
      return made;
    });
    const full = this.button("full", "Full screen (f)", () => this.toggleFull());
    full.hidden = !document.fullscreenEnabled;
    this.transport = [
      this.scrubber,
      element("div", { class: "compare-group" }, this.playButton, back, forward, this.soundButton),
      this.place,
    ];
    const group = (label, buttons) => element("div", { class: "compare-group", role: "group", "aria-label": label }, ...buttons);
    return element(
      "div",
      { class: "compare-bar" },
      ...this.transport,
      element("span", { class: "compare-space" }),
      group("View", this.modeButtons),
      group("Zoom", this.zoomButtons),
      element("div", { class: "compare-group compare-last" }, full),
    );
  }

  button(name, title, act) {
    const made = element("button", { type: "button", class: "compare-button", title, "aria-label": title }, icon(name));
    made.addEventListener("click", act);
    return made;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest("button");
    const acts = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      Home: () => this.goTo(0),
      End: () => this.goTo(this.frames - 1),
      b: () => this.stage.showOther(),
      f: () => this.toggleFull(),
      m: () => this.toggleSound(),
      "+": () => this.stage.zoomTo(this.stage.zoom * 2),
      "-": () => this.stage.zoomTo(this.stage.zoom / 2),
    };
    const act = acts[event.key];
    if (!act || (onButton && event.key === " ")) return;
    event.preventDefault();
    act();
  }

  setMode(mode) {
    this.stage.setMode(mode);
    this.modeButtons.forEach((made, index) => made.setAttribute("aria-pressed", MODES[index][0] === mode));
  }

  markZoom(zoom) {
    this.zoomButtons.forEach((made, index) => made.setAttribute("aria-pressed", [1, 2, 4][index] === zoom));
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.().catch(() => {});
  }

  toggleSound() {
    const { video } = this.stage.after;
    video.muted = !video.muted;
    this.soundButton.replaceChildren(icon(video.muted ? "muted" : "sound"));
    this.soundButton.title = video.muted ? "Sound on (m)" : "Sound off (m)";
    this.soundButton.setAttribute("aria-label", this.soundButton.title);
  }

  tell(sentence) {
    this.note.hidden = !sentence;
    if (this.note.textContent !== sentence) this.note.textContent = sentence ?? "";
  }

  // --- what is compared -----------------------------------------------------------------------------------

  /** Shows another job, or none. */
  async show(value) {
    if (value?.job && value.job === this.job) return;
    this.leave();
    this.job = value?.job;
    this.root.hidden = !this.job;
    if (!this.job) return;
    this.setMode(this.stage.mode);
    this.stage.zoomTo(1);
    this.setTransport(false);
    await this.open(this.job, value.frame ?? 0);
  }

  leave() {
    if (this.playing) this.pause();
    clearTimeout(this.stillTimer);
    this.stopped.abort();
    this.stopped = new AbortController();
    this.clock = this.ready = undefined;
    this.frame = 0;
    this.tell("");
    for (const side of SIDES) {
      const { video, still } = this.stage[side];
      video.removeAttribute("src");
      video.load();
      still.removeAttribute("src");
    }
  }

  address(path) {
    return endpoint(`api/jobs/${encodeURIComponent(this.job)}/${path}`);
  }

  async open(job, frame) {
    try {
      const response = await fetch(this.address("view"), { signal: this.stopped.signal });
      const facts = await response.json();
      if (job !== this.job) return;
      if (!response.ok) return this.tell(sentenceOf(facts));
      this.facts = facts;
    } catch (error) {
      if (error.name !== "AbortError") this.tell("The server cannot be reached.");
      return;
    }
    const { frames, width, height, kind } = this.facts;
    this.frames = frames;
    this.root.style.setProperty("--compare-aspect", width / height);
    this.scrubber.max = Math.max(0, frames - 1);
    this.setTransport(kind === "video");
    this.goTo(Math.min(frame, frames - 1));
    if (kind === "video" && this.facts.duration_s <= PREPARED_AHEAD_S) this.prepare().catch(() => {});
  }

  setTransport(on) {
    for (const node of this.transport) node.hidden = !on;
    this.soundButton.hidden = !this.facts?.sound;
  }

  // --- stills ---------------------------------------------------------------------------------------------

  goTo(frame) {
    if (!this.frames) return;
    if (this.playing) this.pause();
    this.frame = Math.min(this.frames - 1, Math.max(0, frame));
    this.mark();
    this.clock?.seek(this.frame);
    if (this.clock) this.hideStills();
    clearTimeout(this.stillTimer);
    this.stillTimer = setTimeout(() => this.showFrame(), this.stage.after.still.src ? STILL_AFTER_MS : 0);
  }

  async showFrame() {
    const frame = this.frame;
    const shown = await this.showStills(SIDES.map((side) => this.address(`frames/${frame}/${side}`)));
    if (shown === false && frame === this.frame) this.tell("This frame cannot be shown.");
  }

  /** Shows both stills at once; true where they were, null where something else was asked for meanwhile. */
  async showStills(addresses) {
    const asked = (this.asked = Symbol("stills"));
    const patience = setTimeout(() => asked === this.asked && this.tell(LOADING), NOTED_AFTER_MS);
    try {
      const images = addresses.map((src) => Object.assign(new Image(), { src }));
      await Promise.all(images.map((image) => image.decode()));
      if (asked !== this.asked || this.playing) return null;
      SIDES.forEach((side, index) => {
        this.stage[side].still.src = images[index].src;
        this.stage[side].still.hidden = false;
      });
      return true;
    } catch {
      return asked === this.asked ? false : null;
    } finally {
      clearTimeout(patience);
      if (this.note.textContent === LOADING) this.tell("");
    }
  }

  hideStills() {
    this.asked = undefined;
    for (const side of SIDES) this.stage[side].still.hidden = true;
  }

  // --- playing --------------------------------------------------------------------------------------------

  /** Waits until the server has both copies; resolves when they can be played. */
  prepare() {
    this.ready ??= this.load(this.stopped.signal).catch((error) => {
      this.ready = undefined;
      if (error.name !== "AbortError") this.tell(error.message);
      throw error;
    });
    return this.ready;
  }

  async load(signal) {
    const shares = [0, 0];
    await Promise.all(
      SIDES.map((side, index) =>
        whenMade(this.address(`view/${side}.mp4`), signal, (share) => {
          shares[index] = share;
          this.tell(`Preparing playback… ${Math.floor((100 * (shares[0] + shares[1])) / 2)} %`);
        }).then(() => (shares[index] = 1)),
      ),
    );
    await Promise.all(SIDES.map((side) => loaded(this.stage[side].video, this.address(`view/${side}.mp4`))));
    if (signal.aborted) throw new DOMException("left", "AbortError");
    this.tell("");
    const { frames, rate, times } = this.facts;
    this.clock = new Clock(this.stage.after.video, this.stage.before.video, {
      frames,
      rate,
      times,
      onFrame: (frame) => this.mark((this.frame = frame)),
      onEnd: () => this.ended(),
    });
    this.clock.seek(this.frame);
  }

  toggle() {
    if (this.playing) this.pause();
    else if (this.facts?.kind === "video") this.play();
  }

  async play() {
    if (this.wanted) return;
    this.wanted = true;
    try {
      await this.prepare();
    } catch {
      return; // It was told already.
    } finally {
      this.wanted = false;
    }
    this.playing = true;
    this.markPlaying();
    this.hideStills();
    await this.clock.play(this.frame >= this.frames - 1 ? 0 : this.frame).catch((error) => {
      if (error.name !== "AbortError") this.tell("The browser cannot play this video.");
      this.pause();
    });
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.markPlaying();
    this.goTo(this.clock.pause());
  }

  ended() {
    if (this.facts.duration_s > LOOPED_S) this.pause();
    else this.clock.play(0).catch(() => this.pause());
  }

  step(by) {
    this.goTo(this.frame + by);
  }

  markPlaying() {
    this.playButton.replaceChildren(icon(this.playing ? "pause" : "play"));
    this.playButton.title = this.playing ? "Pause (space)" : "Play (space)";
    this.playButton.setAttribute("aria-label", this.playButton.title);
  }

  mark() {
    const seconds = this.facts.times?.[this.frame] ?? this.frame / (this.facts.rate || 1);
    this.scrubber.value = this.frame;
    this.scrubber.style.setProperty("--share", `${(100 * this.frame) / Math.max(1, this.frames - 1)}%`);
    this.scrubber.setAttribute("aria-valuetext", `frame ${this.frame + 1} of ${this.frames}`);
    this.place.textContent = `${clock(seconds)}  ·  ${this.frame + 1} / ${this.frames}`;
  }
}

/** Resolves when the server has a file; it answers 202 with its progress until then. Throws where it cannot. */
async function whenMade(address, signal, onProgress) {
  for (;;) {
    let response;
    try {
      response = await fetch(address, { headers: { Range: "bytes=0-0" }, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
    }
    if (response?.status === 200 || response?.status === 206) return;
    const told = response ? await response.json().catch(() => ({})) : { progress: 0 };
    if (response && response.status !== 202 && response.status !== 429) throw new Error(sentenceOf(told));
    onProgress(told.progress ?? 0);
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}

function loaded(video, address) {
  return new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error("The browser cannot play this video.")), { once: true });
    video.src = address;
  });
}

function sentenceOf(told) {
  return [told?.message, told?.remedy].filter(Boolean).join(" ") || "The comparison cannot be shown.";
}
