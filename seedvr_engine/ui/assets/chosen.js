// The chosen clips that were not uploaded, each with a way to take it out again.

import { bytes, element, say } from "./site.js";

export function mount(root, props, watch, trigger) {
  say(props);
  const list = root.querySelector("[data-slot=list]");
  const draw = () => {
    const sources = props.value || [];
    root.dataset.count = sources.length;
    list.replaceChildren(...sources.map((source, index) => element(
      "li",
      element("span.sv-name", source.name),
      source.size ? element("small", bytes(source.size)) : null,
      element("button.sv-button.sv-quiet", "Remove", {
        type: "button", "aria-label": `Remove ${source.name}`, click: () => trigger("removed", { index }),
      }),
    )));
  };
  watch("value", draw);
  draw();
}
