// Lists of jobs: read, shown, opened, deleted.

import { address, clock, element, go, place, request, trouble, when, words } from "./site.js";

export const is_live = (job) => job.state === "running" || job.state === "queued";

// Reads the list while somebody can see it: every 3 s while something runs, else at a change of the page.
export function watcher(is_wanted, on_jobs) {
  let timer = 0;
  async function look() {
    clearTimeout(timer);
    if (!is_wanted() || document.hidden) return;
    let wait_ms = 4000;
    try {
      const jobs = await request("jobs");
      on_jobs(jobs);
      wait_ms = jobs.some(is_live) ? 3000 : 0;
    } catch { /* a gap: look again */ }
    if (wait_ms) timer = setTimeout(look, wait_ms);
  }
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", look);
  return { soon: look };
}

// Rows are kept and changed in place: the keyboard's focus must not be lost at every look.
export function fill(list, jobs, looks) {
  const rows = new Map([...list.children].map((row) => [row.dataset.job, row]));
  jobs.forEach((job, index) => {
    const row = rows.get(job.id) || made(job, looks);
    rows.delete(job.id);
    update(row, job);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
  });
  for (const row of rows.values()) row.remove();
}

function made(job, looks) {
  const remove = element("button.sv-button.sv-quiet", "Delete", { type: "button", "aria-label": `Delete ${job.name}` });
  let asked = 0;
  remove.addEventListener("click", async () => {
    if (Date.now() - asked > 5000) {
      asked = Date.now();
      remove.textContent = "Really delete?";
      setTimeout(() => { remove.textContent = "Delete"; }, 5000);
      return;
    }
    remove.disabled = true;
    try {
      await request(`jobs/${job.id}`, { method: "DELETE" });
      if (place().job === job.id) go({});
    } catch (error) {
      row.append(trouble(error));
      remove.disabled = false;
    }
    looks.soon();
  });
  const row = element(
    "li.sv-row", { "data-job": job.id },
    element("img.sv-thumb", { alt: "", hidden: true }),
    element("div.sv-row-text", element("a.sv-name", { href: `?job=${job.id}` }), element("p")),
    element("div.sv-row-ends", element("span.sv-state"), remove),
  );
  row.querySelector("a").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go({ job: job.id });
  });
  return row;
}

function update(row, job) {
  const image = row.querySelector("img"), state = row.querySelector(".sv-state");
  const source = address(`jobs/${job.id}/thumbnail`) + (is_live(job) ? `?r=${Math.floor(10 * (job.progress || 0))}` : "?r=end");
  if (image.dataset.source !== source) {
    image.dataset.source = source;
    const fresh = new Image();
    fresh.onload = () => { image.src = source; image.hidden = false; };
    fresh.src = source;
  }
  row.dataset.state = state.dataset.state = job.state;
  row.querySelector("a").textContent = job.name;
  state.textContent = job.state === "running" ? `${Math.floor(100 * job.progress)} %` : words.states[job.state];
  const facts = [when(job.created_at)];
  if (job.facts?.width) facts.unshift(`${job.facts.width}×${job.facts.height}`);
  if (job.ran_s) facts.push(`took ${clock(job.ran_s)}`);
  row.querySelector("p").textContent = facts.join(" · ");
}
