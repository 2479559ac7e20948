// What this machine has: cards, memory, disk, models, and the download of those that are missing.

import { bytes, element, request, say, trouble, words } from "./site.js";
import { model_row, read_models } from "./models.js";

export function mount(root, props, watch, trigger) {
  say(props);
  const slot = (name) => root.querySelector(`[data-slot="${name}"]`);
  const panel = root.querySelector("details");
  let timer = 0;
  panel.addEventListener("toggle", look);
  document.addEventListener("visibilitychange", look);
  document.addEventListener("seedvr:download", look);

  async function look() {
    clearTimeout(timer);
    if (!panel.open || document.hidden) return;
    try {
      const [system, models] = await Promise.all([request("system"), read_models()]);
      facts(system);
      slot("models").replaceChildren(...models.map(model_row));
      slot("trouble").replaceChildren();
    } catch (error) {
      slot("trouble").replaceChildren(trouble(error));
    }
    timer = setTimeout(look, 3000);
  }

  function facts(system) {
    const rows = [];
    for (const [index, gpu] of system.gpus.entries())
      rows.push([
        `Graphics card ${index + 1}`,
        `${gpu.label}, ${bytes(gpu.free_bytes)} of ${bytes(gpu.total_bytes)} free`,
      ]);
    if (rows.length === 0) rows.push(["Graphics card", "none found: everything runs on the processor"]);
    if (system.driver) rows.push(["Driver", system.driver]);
    rows.push(
      ["Memory", `${bytes(system.host_free_bytes)} of ${bytes(system.host_total_bytes)} free`],
      ["Disk for results", `${bytes(system.disk_free_bytes)} of ${bytes(system.disk_total_bytes)} free`],
      ["Restoring process", words.worker[system.worker] || system.worker],
      ["Program", `version ${system.version}`],
    );
    slot("facts").replaceChildren(...rows.map(([name, value]) =>
      element("div", element("dt", name), element("dd", value))));
  }
}
