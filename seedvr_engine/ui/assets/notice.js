// The notice at the start while only the preview model is here.

import { request, say } from "./site.js";
import { download_part, list } from "./models.js";

export function mount(root, props, watch, trigger) {
  say(props);
  let timer = 0;
  async function look() {
    clearTimeout(timer);
    try {
      const models = list(await request("models"));
      const here = models.some((model) => model.present && model.name !== "preview");
      root.dataset.shown = !here && models.length > 0;
      if (!here) {
        const wanted = models.find((model) => model.download?.state === "running")
          || models.find((model) => model.name === "3b") || null;
        root.querySelector("[data-slot=model]").replaceChildren(...(wanted ? [download_part(wanted)] : []));
        if (wanted?.download?.state === "running") timer = setTimeout(look, 2000);
      } else if (root.dataset.waited) location.reload();
      if (!here) root.dataset.waited = models.some((model) => model.download?.state === "running") || "";
    } catch { timer = setTimeout(look, 5000); }
  }
  document.addEventListener("seedvr:download", look);
  look();
}
