// The moment for a preview, and the preview on its way.
// value: {source, duration_s, rate} of the first chosen clip, or {job} of a preview that was asked for, or {trouble}.

import { address, clock, element, final, follow, request, say, trouble, words } from "./site.js";

export function mount(root, props, watch, trigger) {
  say(props);
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const slider = slot("moment"), picture = slot("picture");
  let stop = () => {}, timer = 0, followed = null, media = {};

  slider.addEventListener("input", () => {
    label();
    clearTimeout(timer);
    timer = setTimeout(draw_picture, 150);
  });
  slot("frame").addEventListener("click", () => ask("frame"));
  slot("clip").addEventListener("click", () => ask("clip"));
  slot("cancel").addEventListener("click", () => {
    if (followed) request(`jobs/${followed}/cancel`, { method: "POST" }).catch(() => {});
  });
  picture.addEventListener("error", () => { picture.hidden = true; });
  picture.addEventListener("load", () => { picture.hidden = false; });
  watch("value", () => {
    if (props.value?.job) begin(props.value.job);
    else if (props.value?.trouble) fail(props.value.trouble);
    else reset();
  });
  reset();

  function ask(kind) {
    trigger("asked", { kind, moment_s: Number(slider.value) });
    busy(true);
    slot("state").textContent = "Asking for it…";
  }

  function reset() {
    stop();
    busy(false);
    media = props.value || {};
    root.dataset.ready = Boolean(media.source);
    if (!media.source) return;
    const still = !media.duration_s;
    slider.max = String(Math.max(0, (media.duration_s || 0) - 1 / (media.rate || 25)));
    slider.step = "any";
    slider.value = String((media.duration_s || 0) / 3);
    slot("moment-row").hidden = still;
    slot("clip").hidden = still;
    slot("state").textContent = "";
    slot("trouble").replaceChildren();
    label();
    draw_picture();
  }

  function label() {
    slot("time").textContent = clock(Number(slider.value));
    slider.setAttribute("aria-valuetext", clock(Number(slider.value)));
  }

  function draw_picture() {
    const { source, rate } = media;
    const at = Number(slider.value);
    const moment = `at=${at.toFixed(3)}`;
    const path = source?.upload ? `uploads/${source.upload}/frame?${moment}`
      : source?.job ? `jobs/${source.job}/frames/${Math.round(at * (rate || 25))}/before`
      : source?.example ? `examples/${source.example}/frame?${moment}`
      : source?.input ? `inbox/frame?name=${encodeURIComponent(source.input)}&${moment}` : "";
    if (path) picture.src = address(path); else picture.hidden = true;
  }

  function busy(is_busy) {
    slot("frame").disabled = slot("clip").disabled = is_busy;
    slot("cancel").hidden = !is_busy;
    slot("bar").hidden = !is_busy;
  }

  function begin(job) {
    stop();
    followed = job;
    busy(true);
    slot("trouble").replaceChildren();
    stop = follow(job, draw, (gap) => { if (gap) slot("state").textContent = words.gap; });
  }

  function draw(job) {
    slot("bar").firstElementChild.style.inlineSize = `${100 * (job.progress || 0)}%`;
    slot("state").textContent = job.state === "running"
      ? words.stages[job.stage] || words.stages[""] : words.states[job.state] || "";
    if (!final.has(job.state) && job.state !== "gone") return;
    busy(false);
    if (job.state === "done") {
      slot("state").textContent = "This is what the full run will show here.";
      trigger("finished", { job: job.id });
    } else if (job.error && job.state !== "cancelled") {
      slot("state").textContent = "";
      slot("trouble").replaceChildren(trouble(job.error));
    } else slot("state").textContent = words.ended[job.state] || "";
  }

  function fail(problem) {
    busy(false);
    slot("state").textContent = "";
    slot("trouble").replaceChildren(trouble(problem));
  }
}
