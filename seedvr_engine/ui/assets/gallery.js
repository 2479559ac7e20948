// Clips to choose without an upload: the examples, and files that are on the machine already.

import { address, bytes, element, request, say } from "./site.js";

export async function mount(root, props, watch, trigger) {
  say(props);
  const tiles = root.querySelector("[data-slot=examples]"), inbox = root.querySelector("[data-slot=inbox]");
  const examples = await request("examples").catch(() => null);
  const list = examples || [];
  tiles.replaceChildren(...list.map((example) => tile(example)));
  root.querySelector("[data-slot=examples-title]").hidden = list.length === 0;
  const found = await request("inbox").catch(() => null);
  const files = found || [];
  root.querySelector("[data-slot=inbox-part]").hidden = files.length === 0;
  inbox.replaceChildren(...files.map((file) => element("li", element(
    "button.sv-button.sv-quiet", file.name, element("small", ` ${bytes(file.bytes)}`),
    { type: "button", click: () => trigger("picked", { input: file.name, name: file.name, size: file.bytes }) },
  ))));

  function tile(example) {
    return element(
      "button.sv-tile",
      { type: "button", click: () => trigger("picked", { example: example.name, name: example.title, size: example.bytes }) },
      element("img", { src: address(`examples/${example.name}.jpg`), alt: "", loading: "lazy" }),
      element("span", example.title),
    );
  }
}
