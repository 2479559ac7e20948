// value: {job} or {batch} of what was just started; the page goes there.

import { go, say } from "./site.js";

export function mount(root, props, watch, trigger) {
  say(props);
  watch("value", () => {
    const { job, batch } = props.value || {};
    if (batch) go({ batch }); else if (job) go({ job });
  });
}
