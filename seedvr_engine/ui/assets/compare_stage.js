// Where two pictures are compared: divider, side by side or one at a time; zoom and pan alike in both.

import { element, icon } from "./page.js";

const LARGEST_ZOOM = 8;
const DIVIDER_STEP = 0.02;
const LABELS = { before: "Original", after: "Restored" };

export class Stage {
  constructor() {
    this.zoom = 1;
    this.pan = [0, 0]; // of the picture's upper left corner, in widths and heights of its pane
    this.split = 0.5;
    this.mode = "wipe";
    this.alone = "after";
    this.pointers = new Map();
    this.before = layer("before");
    this.after = layer("after");
    this.divider = element("div", {
      class: "compare-divider",
      role: "slider",
      tabindex: 0,
      "aria-label": "Divider between original and restored",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-orientation": "horizontal",
    });
    this.divider.append(element("span", { class: "compare-grip" }, icon("handle")));
    this.swap = element("button", { type: "button", class: "compare-swap" });
    this.swap.addEventListener("click", () => this.showOther());
    this.node = element("div", { class: "compare-stage", tabindex: 0, role: "group" });
    this.node.setAttribute("aria-label", "Original and restored picture");
    this.node.append(this.before.node, this.after.node, this.divider, this.swap);
    this.listen();
    this.draw();
  }

  listen() {
    this.node.addEventListener("pointerdown", (event) => this.press(event));
    this.node.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      this.node.addEventListener(kind, (event) => this.release(event));
    }
    this.node.addEventListener("dblclick", (event) => this.zoomStep(event));
    this.node.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -DIVIDER_STEP, ArrowRight: DIVIDER_STEP, Home: -1, End: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.divide(this.split + step);
    });
  }

  setMode(mode) {
    this.mode = mode;
    this.draw();
  }

  showOther() {
    this.alone = this.alone === "after" ? "before" : "after";
    this.draw();
  }

  divide(split) {
    this.split = Math.min(1, Math.max(0, split));
    this.draw();
  }

  /** Zooms about a place in a pane (0 to 1 each way), which stays where it is. */
  zoomTo(zoom, place = [0.5, 0.5]) {
    const wanted = Math.min(LARGEST_ZOOM, Math.max(1, zoom));
    this.pan = this.pan.map((pan, axis) => place[axis] - ((place[axis] - pan) * wanted) / this.zoom);
    this.zoom = wanted;
    this.draw();
    this.onZoom?.(wanted);
  }

  zoomStep(event) {
    if (event.target.closest("button, .compare-divider")) return;
    this.zoomTo(this.zoom < 2 ? 2 : this.zoom < 4 ? 4 : 1, this.placeOf(event));
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // Else the page could not be scrolled past the pictures.
    event.preventDefault();
    this.zoomTo(this.zoom * Math.exp(-event.deltaY / 300), this.placeOf(event));
  }

  /** A place on screen as a share of the pane it lies in. */
  placeOf({ clientX, clientY }) {
    const pane = this.paneAt(clientX, clientY);
    return [(clientX - pane.left) / pane.width, (clientY - pane.top) / pane.height];
  }

  paneAt(x, y) {
    const panes = [this.before, this.after].map(({ node }) => node.getBoundingClientRect());
    return panes.find((pane) => x <= pane.right && y <= pane.bottom) ?? panes[1];
  }

  press(event) {
    if (event.button !== 0 || event.target.closest("button")) return;
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.node.setPointerCapture(event.pointerId);
    const onDivider = Boolean(event.target.closest(".compare-divider"));
    this.dragging = onDivider || (this.mode === "wipe" && this.zoom === 1) ? "divider" : "picture";
    if (this.pointers.size === 2) this.dragging = "pinch";
    if (this.dragging === "divider" && !onDivider) this.moveDivider(event);
  }

  move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const now = [event.clientX, event.clientY];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (this.dragging === "pinch" && other) {
      const middle = { clientX: (now[0] + other[0]) / 2, clientY: (now[1] + other[1]) / 2 };
      this.zoomTo((this.zoom * distance(now, other)) / Math.max(1, distance(last, other)), this.placeOf(middle));
    } else if (this.dragging === "divider") this.moveDivider(event);
    else if (this.dragging === "picture") this.panBy(now[0] - last[0], now[1] - last[1]);
    this.pointers.set(event.pointerId, now);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size === 0) this.dragging = undefined;
  }

  moveDivider(event) {
    const box = this.node.getBoundingClientRect();
    this.divide((event.clientX - box.left) / box.width);
  }

  panBy(x, y) {
    const { width, height } = this.after.node.getBoundingClientRect();
    this.pan = [this.pan[0] + x / width, this.pan[1] + y / height];
    this.draw();
  }

  draw() {
    this.pan = this.pan.map((pan) => Math.min(0, Math.max(1 - this.zoom, pan)));
    const transform = `translate(${this.pan[0] * 100}%, ${this.pan[1] * 100}%) scale(${this.zoom})`;
    for (const { content } of [this.before, this.after]) content.style.transform = transform;
    const wipe = this.mode === "wipe";
    this.node.dataset.mode = this.mode;
    this.node.dataset.alone = this.alone;
    this.node.dataset.zoomed = this.zoom > 1;
    this.before.node.style.clipPath = wipe ? `inset(0 ${100 - this.split * 100}% 0 0)` : "";
    this.after.node.style.clipPath = wipe ? `inset(0 0 0 ${this.split * 100}%)` : "";
    this.divider.style.left = `${this.split * 100}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.split * 100));
    this.divider.setAttribute("aria-valuetext", `${Math.round(this.split * 100)} percent original`);
    this.swap.textContent = `Show ${LABELS[this.alone === "after" ? "before" : "after"].toLowerCase()}`;
  }
}

/** One of the two pictures: a still over a video, and its name. */
function layer(side) {
  const video = element("video", { playsinline: true, preload: "auto", tabindex: -1 });
  video.muted = side === "before";
  const still = element("img", { alt: `${LABELS[side]} picture`, draggable: "false" });
  const content = element("div", { class: "compare-content" }, video, still);
  const label = element("span", { class: "compare-label" }, LABELS[side]);
  return { video, still, content, node: element("div", { class: `compare-layer is-${side}` }, content, label) };
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
