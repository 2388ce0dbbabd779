// Shadows: how a candidate that nobody sees compares with what callers are served.
import { get, path } from "/page/api.js";
import { count, el, field, fill, head, part, sheet, table, NONE } from "/page/dom.js";
import { intervals } from "/page/plots.js";
import { spans } from "/page/views/impact.js";

const GOOD_DOWN = new Set(["latency", "time_to_first_token", "cost", "errors", "refusals"]);
const GOOD_UP = new Set(["json_valid", "schema_valid", "preferred", "equal_or_better"]);
const KINDS = [["change", "Difference in % of the caller's", 0], ["points", "Difference of shares, in points", 0], ["preference", "Judges' preference: the middle is no preference", 0.5]];

export async function shadows(root, app, [route, name]) {
  const found = await Promise.all(app.config.routes.map(async (one) => {
    const recorded = await get(`/shadow${path(one.route)}`).then(({ shadows }) => shadows.map((shadow) => shadow.shadow), () => []);
    return [...new Set([...one.shadows, ...recorded])].map((shadow) => [one.route, shadow]);
  }));
  const all = found.flat();
  const chosen = all.find(([of, shadow]) => of === route && shadow === name) ?? all[0];
  if (!chosen) {
    fill(root, head("Shadows", "Copies of requests go to a candidate; nobody sees its answers."), el("p", { class: "empty" }, "No route has a shadow, and none left records. [[routes.NAME.shadow]] in the configuration makes one."));
    return {};
  }
  const out = el("div", { class: "stack" }), since = spans(() => refresh());
  const select = el("select", { id: "shadow", on: { change: () => { location.hash = "#/shadows" + path(...all[select.selectedIndex]); } } }, all.map((one) => el("option", { selected: one === chosen }, one.join(" / "))));

  async function refresh() {
    fill(out, el("p", { class: "empty" }, "The records are being read …"));
    try {
      draw(await get(`/shadow${path(...chosen)}?since=${since.value}`));
    } catch (error) {
      fill(out, sheet(el("h2", {}, "Nothing to report"), el("div", { class: "in" }, el("p", {}, error.message))));
    }
  }

  function draw(report) {
    const { coverage } = report;
    const tile = (number, text) => el("div", { class: "tile" }, el("b", {}, number), el("span", {}, text));
    fill(out, el("div", { class: "tiles" }, tile(count(coverage.eligible), "could be copied"), tile(count(coverage.sent), "sent"), tile(count(coverage.answered), "answered"), tile(part(coverage.sent_share), "of those chosen were sent")),
      report.notes.length > 0 && el("div", {}, report.notes.map((note) => el("p", { class: "small quiet" }, note))),
      report.comparisons.map(comparison),
      report.comparisons.length === 0 && el("p", { class: "empty" }, "No pair of answers is in the record yet."),
      coverage.would_be_400.length > 0 && sheet(el("h2", {}, "Callers would have got a 400"), table([["field or error", ""], ["requests", "n"]], coverage.would_be_400.map((one) => [one.cause, count(one.requests)]))),
      coverage.outcomes.length > 0 && sheet(el("h2", {}, "What became of the copies"), table([["outcome", ""], ["requests", "n"], ["share", "n"]], coverage.outcomes.map((one) => [one.outcome, count(one.requests), part(one.share)]))));
  }

  function comparison(one) {
    const kind = (m) => (!m.claim || m.low === null ? "" : GOOD_DOWN.has(m.measure) ? (m.high < 0 ? "better" : "worse") : GOOD_UP.has(m.measure) ? (m.low > (m.kind === "preference" ? 0.5 : 0) ? "better" : "worse") : "other");
    const row = (m) => ({ name: m.measure.replaceAll("_", " "), low: m.low ?? undefined, high: m.high ?? undefined, estimate: m.estimate, kind: kind(m), says: m.low === null ? "too few units" : m.claim ? m.says : "not enough to say" });
    const groups = KINDS.map(([name, title, zero]) => [title, zero, one.measures.filter((m) => m.kind === name)]).filter(([, , rows]) => rows.length);
    const rest = one.measures.filter((m) => m.kind === "share");
    return el("section", { class: "sheet" }, el("header", {}, el("h2", {}, `${one.candidate} against ${one.primary}`), el("span", { class: "quiet small" }, `${count(one.pairs)} pairs of ${count(one.units)} users`)),
      el("p", { class: "in" }, one.verdict), groups.map(([title, zero, rows]) => [el("p", { class: "in quiet small" }, title), intervals(rows.map(row), zero)]),
      rest.length > 0 && table([["share of pairs", ""], ["is", "n"], ["between", "n"]], rest.map((m) => [m.measure.replaceAll("_", " "), part(m.estimate), m.low === null ? NONE : `${part(m.low)} and ${part(m.high)}`])));
  }

  fill(root, head("Shadows", "Copies of requests go to a candidate; nobody sees its answers.", el("div", { class: "row" }, field("Shadow", select), field("Looking back", since), el("a", { class: "button", href: "/shadow" + path(...chosen) }, "Report to print"))), out);
  await refresh();
  // A report reads the record: it is made anew when somebody asks for it, not with every change.
  return { refresh: async () => {} };
}
