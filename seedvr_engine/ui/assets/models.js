// Models: which are here, and the download of those that are not.

import { bytes, element, request, trouble, words } from "./site.js";

/** The models, each with how its download stands where it is not here. */
export async function read_models() {
  const models = await request("models");
  return Promise.all(models.map(async (model) =>
    model.present ? model : { ...model, download: await request(`models/${model.name}/download`) }));
}

export function model_row(model) {
  return element(
    "li.sv-row",
    element(
      "div.sv-row-text",
      element("span.sv-name", words.models[model.name] || model.label || model.name),
      element("p", model.memory_bytes ? `needs about ${bytes(model.memory_bytes)} of memory` : "comes with the program"),
    ),
    element("div.sv-row-ends", model.present ? element("span.sv-state", "Here", { "data-state": "done" }) : download_part(model)),
  );
}

export function download_part(model) {
  const download = model.download || {};
  if (["waiting", "running"].includes(download.state)) {
    const share = download.total_bytes ? download.done_bytes / download.total_bytes : 0;
    return element(
      "div.sv-download",
      element("div.sv-bar", element("span", { style: `inline-size:${(100 * share).toFixed(1)}%` }), {
        role: "progressbar", "aria-label": `Download of ${model.name}`,
        "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.floor(100 * share)),
      }),
      element("small", `${bytes(download.done_bytes || 0)} of ${bytes(download.total_bytes || model.download_bytes || 0)}`),
    );
  }
  const size = model.download_bytes ? ` (${bytes(model.download_bytes)})` : "";
  const button = element("button.sv-button", `Download ${words.models[model.name] || model.name}${size}`, { type: "button" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await request(`models/${model.name}/download`, { method: "POST" });
    } catch (error) {
      button.parentElement.append(trouble(error));
      button.disabled = false;
    }
    document.dispatchEvent(new Event("seedvr:download"));
  });
  const part = element("div.sv-download", button);
  if (download.state === "failed" && download.error) part.append(trouble(download.error));
  return part;
}
