// The visitor's clips, newest first.

import { on_route, say } from "./site.js";
import { fill, watcher } from "./clips.js";

export function mount(root, props, watch, trigger) {
  say(props);
  const list = root.querySelector("[data-slot=list]"), empty = root.querySelector("[data-slot=empty]");
  const looks = watcher(
    () => true,
    (jobs) => {
      const shown = jobs.filter((job) => job.kind === "full" || job.kind === undefined);
      empty.hidden = shown.length > 0;
      fill(list, shown, looks);
    },
  );
  on_route(() => looks.soon());
}
