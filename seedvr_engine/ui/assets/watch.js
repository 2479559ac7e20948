// A job while it runs, and why it ended where it did not end well.

import { address, bytes, clock, element, follow, go, on_route, request, say, show, title, trouble, words } from "./site.js";

export function mount(root, props, watch, trigger) {
  say(props);
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const images = { before: slot("before"), after: slot("after") };
  let stop = () => {}, current = null, drawn_ms = 0, stage = null;

  on_route(({ job }) => {
    if (job === current) return;
    stop();
    current = job;
    if (!job) return;
    show("watch");
    reset();
    stop = follow(job, draw, (gap) => { slot("gap").hidden = !gap; });
  });

  function reset() {
    stage = null;
    drawn_ms = 0;
    // Until now nobody would have heard it.
    slot("cancel").disabled = false;
    slot("title").textContent = "One moment…";
    for (const name of ["sentence", "plan", "notes", "percent"]) slot(name).textContent = "";
    for (const name of ["pair", "trouble", "gap", "final"]) slot(name).hidden = true;
    slot("numbers").replaceChildren();
    slot("trouble").replaceChildren();
    bar(0);
  }

  function bar(share) {
    const percent = Math.floor(100 * share);
    const progress = slot("progress");
    progress.setAttribute("aria-valuenow", String(percent));
    progress.firstElementChild.style.inlineSize = `${(100 * share).toFixed(1)}%`;
  }

  function draw(job) {
    if (job.state === "gone") return gone();
    if (job.state === "done") return finish(job);
    show("watch");
    root.dataset.state = job.state;
    const live = job.state === "running" || job.state === "queued";
    slot("live").hidden = !live;
    slot("final").hidden = live;
    slot("title").textContent = `${words.doing[job.state]} ${job.name}`;
    if (live) running(job); else ended(job);
  }

  function running(job) {
    const queued = job.state === "queued";
    const share = queued ? 0 : job.progress;
    bar(share);
    slot("percent").textContent = queued ? "" : `${Math.floor(100 * share)} %`;
    slot("sentence").textContent = queued ? waiting(job) : words.stages[job.stage] || words.stages[""];
    const heard = queued ? waiting(job) : words.stages[job.stage];
    if (heard !== stage) { stage = heard; slot("heard").textContent = heard || ""; }
    slot("numbers").replaceChildren(...numbers(job).map(([name, value]) =>
      element("div", element("dt", name), element("dd", value))));
    slot("plan").textContent = job.plan || "";
    slot("notes").textContent = (job.notes || []).filter((note) => !note.startsWith("Model:")).join(" ");
    document.title = queued ? `Waiting · ${job.name}` : `${Math.floor(100 * share)} % · ${job.name}`;
    if (!queued) pictures(job);
  }

  function waiting(job) {
    const before = (job.queue_position || 1) - 1;
    if (before === 0) return "Next in line";
    return before === 1 ? "One clip is before yours" : `${before} clips are before yours`;
  }

  function numbers(job) {
    if (job.state === "queued") return [];
    const rows = [["Frames", job.frames_total ? `${job.frames_done} of ${job.frames_total}` : `${job.frames_done}`]];
    if (job.left_s !== null && job.left_s !== undefined) rows.push(["Time left", clock(Math.ceil(job.left_s))]);
    if (job.frames_per_s) rows.push(["Speed", `${job.frames_per_s.toFixed(job.frames_per_s < 10 ? 1 : 0)} frames/s`]);
    rows.push(["Shot", String((job.shot || 0) + 1)]);
    if (job.memory_bytes) rows.push(["Memory", `${bytes(job.memory_bytes)}, at most ${bytes(job.peak_bytes)}`]);
    if (job.limit_s) rows.push(["Time limit", clock(job.limit_s)]);
    return rows;
  }

  // Every two seconds at most; a picture is shown only when both have come, so that they belong together.
  async function pictures(job) {
    if (Date.now() - drawn_ms < 2000 || !job.frames_done) return;
    drawn_ms = Date.now();
    const sources = ["before", "after"].map((side) => address(`jobs/${job.id}/latest/${side}?r=${job.revision}`));
    try {
      await Promise.all(sources.map(async (source) => {
        const image = new Image();
        image.src = source;
        await image.decode();
      }));
    } catch { return; } // None yet, or a gap: the next look tries again.
    if (current !== job.id) return;
    images.before.src = sources[0];
    images.after.src = sources[1];
    slot("pair").hidden = false;
  }

  function ended(job) {
    document.title = `${words.states[job.state]} · ${job.name}`;
    slot("pair").hidden = true;
    const holder = slot("trouble");
    holder.hidden = false;
    holder.replaceChildren(job.error && job.state !== "cancelled"
      ? trouble(job.error)
      : element("p", words.ended[job.state]));
    slot("continue").hidden = false;
    slot("continue").textContent = job.state === "failed" ? "Try again" : "Continue";
    slot("again").hidden = false;
  }

  function gone() {
    root.dataset.state = "gone";
    slot("live").hidden = true;
    slot("final").hidden = false;
    slot("title").textContent = words.troubles.unknown_job;
    slot("trouble").hidden = false;
    slot("trouble").replaceChildren(element("p", words.ended.gone));
    slot("continue").hidden = true;
    slot("again").hidden = true;
    document.title = title;
  }

  function finish(job) {
    document.title = `Done · ${job.name}`;
    show("result");
    trigger("finished", { job: job.id });
  }

  async function act(button, path) {
    button.disabled = true;
    try {
      await request(`jobs/${current}/${path}`, { method: "POST" });
      stop();
      stop = follow(current, draw, (gap) => { slot("gap").hidden = !gap; });
    } catch (error) {
      slot("trouble").hidden = false;
      slot("trouble").replaceChildren(trouble(error));
    } finally {
      button.disabled = false;
    }
  }

  slot("cancel").addEventListener("click", (event) => act(event.target, "cancel"));
  slot("continue").addEventListener("click", (event) => act(event.target, "continue"));
  slot("again").addEventListener("click", () => {
    const job = current;
    go({});
    trigger("again", { job });
  });
}
