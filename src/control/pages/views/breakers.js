// Breakers: how far each is from tripping, and the way to close one.
import { call, get } from "/page/api.js";
import { ask, mark, tell } from "/page/ask.js";
import { chip, clock, count, el, fill, head, idOf } from "/page/dom.js";

// The measurements are asked for with every third beat.
const BEATS = 3;
const STATES = { closed: ["good", "closed"], half_open: ["warn", "half open"], open: ["bad", "open"] };

export async function breakers(root, app) {
  const list = el("div", { class: "stack" });
  let beats = 0;

  async function refresh() {
    const all = (await get("/breakers")).breakers;
    const rank = (one) => ["open", "half_open", "closed"].indexOf(one.state);
    all.sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
    fill(list, all.map(breaker), all.length === 0 && el("p", { class: "empty" }, "No breaker has seen a request yet. Routes name theirs with breaker = \"…\"."));
  }

  function breaker(one) {
    const [kind, word] = STATES[one.state] ?? ["", one.state];
    const reset = app.may && one.state !== "closed" && el("button", { id: idOf("reset", one.id), on: { click: () => close(one) } }, "Reset …");
    return el("section", { class: "sheet" + (one.state === "open" ? " killed" : ""), "data-breaker": one.id },
      el("header", {}, el("h2", { class: "name" }, one.id), chip(kind, word), one.mode === "observe" && chip("", "observes only"), el("span", { class: "quiet small" }, `${count(one.requests)} requests in its window`), el("span", { class: "spacer" }, reset)),
      el("div", { class: "in stack" }, one.cause && el("p", {}, one.cause, one.retry_at && ` · tries again at ${clock(one.retry_at)}`),
        one.measurements.length > 0 ? el("div", { class: "measures" }, one.measurements.map((m) => [el("span", { class: m.over ? "over" : "" }, m.name), el("span", { class: "number " + (m.over ? "over" : "") }, m.now), el("span", { class: "quiet limit" }, m.limit)])) : el("p", { class: "quiet small" }, "Nothing was measured yet.")));
  }

  async function close(one) {
    const done = await ask({
      title: `Reset ${one.id}`, confirm: "Reset", text: "It closes, forgets what it has seen, and its target is tried again. A kill that its trip led to stays: revive that.",
      act: async (reason) => {
        mark(one.id);
        const { body } = await call("POST", `/breakers/${encodeURIComponent(one.id)}/reset`, { reason });
        tell(body.served.join(" "));
      },
    });
    if (done) await refresh();
  }

  fill(root, head("Breakers", "Each watches a model or a variant on one route, and trips only when chance alone can hardly explain what it sees."), list);
  await refresh();
  const live = () => { beats += 1; if (beats % BEATS === 0) refresh().catch(() => {}); };
  return { live, refresh };
}
