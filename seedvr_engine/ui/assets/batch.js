// The clips of one batch, and one download for all of them.

import { address, on_route, say, show, title, words } from "./site.js";
import { fill, is_live, watcher } from "./clips.js";

export function mount(root, props, watch, trigger) {
  say(props);
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  let current = null;
  const looks = watcher(
    () => current,
    (jobs) => {
      const own = jobs.filter((job) => job.batch === current).reverse();
      const done = own.filter((job) => job.state === "done").length;
      const open = own.filter(is_live).length;
      slot("title").textContent = `${own.length} clips`;
      slot("sentence").textContent = own.length === 0 ? words.ended.gone
        : open ? `${done} of ${own.length} done. You can close this page; they go on.`
        : done === own.length ? "All of them are done." : `${done} of ${own.length} were restored.`;
      document.title = open ? `${done} of ${own.length} · ${title}` : `Done · ${own.length} clips`;
      slot("zip").hidden = done === 0 || open > 0;
      slot("zip").href = address(`batches/${current}/zip`);
      fill(slot("list"), own, looks);
    },
  );
  on_route(({ batch, job }) => {
    current = job ? null : batch;
    if (current) { show("batch"); looks.soon(); }
  });
}
