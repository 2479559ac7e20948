// The notice at the start while only the preview model is here.

import { say } from "./site.js";
import { download_part, read_models } from "./models.js";

export function mount(root, props) {
  say(props);
  const holder = root.querySelector("[data-slot=model]");
  const under_way = (model) => ["waiting", "running"].includes(model.download?.state);
  let timer = 0, waited = false;

  async function look() {
    clearTimeout(timer);
    try {
      const models = await read_models();
      const is_here = models.some((model) => model.present && model.name !== "preview");
      // The list of models is the server's: a page that has waited for a model is drawn anew with it, once no
      // upload would be ended by that.
      if (is_here && waited) {
        const travelling = "[data-state=sending], [data-state=retrying], [data-state=checking], [data-state=waiting]";
        if (!document.querySelector(`.upload-file:is(${travelling})`)) location.reload();
        timer = setTimeout(look, 2000);
        return;
      }
      root.querySelector("aside").hidden = is_here;
      const wanted = models.find(under_way) || models.find((model) => model.name === "3b");
      holder.replaceChildren(...(wanted ? [download_part(wanted)] : []));
      waited = models.some(under_way);
      if (waited) timer = setTimeout(look, 2000);
    } catch {
      timer = setTimeout(look, 5000);
    }
  }
  document.addEventListener("seedvr:download", look);
  look();
}
