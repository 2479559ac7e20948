// What came out: drawn by the server; here is what its buttons do.

import { go } from "./site.js";

export function mount(root, props, watch, trigger) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-again]");
    if (!button) return;
    go({});
    trigger("again", { job: button.dataset.again });
  });
}
