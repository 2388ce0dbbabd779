// What a flag did, and what of it may be claimed.
import { get, path } from "/page/api.js";
import { chip, count, el, field, fill, head, idOf, ms, part, sheet, table, usd, NONE } from "/page/dom.js";
import { intervals } from "/page/plots.js";

export const SINCE = [["24h", "a day"], ["7d", "7 days"], ["30d", "30 days"]];
export const spans = (on) => el("select", { id: "since", on: { change: on } }, SINCE.map(([value, text]) => el("option", { value, selected: value === "7d" }, text)));
const KINDS = { worse: "worse", better: "better", higher: "other", lower: "other" };

export async function impact(root, app, [asked]) {
  const { flags } = await get("/flags");
  const key = flags.some((flag) => flag.flag === asked) ? asked : flags[0]?.flag;
  const out = el("div", { class: "stack" });
  if (!key) {
    fill(root, head("Impact", ""), el("p", { class: "empty" }, "The configuration has no flags."));
    return {};
  }
  const select = el("select", { id: "flag", on: { change: () => { location.hash = "#/impact/" + encodeURIComponent(select.value); } } }, flags.map((flag) => el("option", { selected: flag.flag === key }, flag.flag)));
  const since = spans(() => refresh());

  async function refresh() {
    fill(out, el("p", { class: "empty" }, "The records are being read …"));
    try {
      draw(await get(`/impact${path(key)}?since=${since.value}`));
    } catch (error) {
      fill(out, sheet(el("h2", {}, "Nothing to report"), el("div", { class: "in" }, el("p", {}, error.message))));
    }
  }

  function draw(report) {
    const wrong = report.sample_ratio.filter((one) => one.check === "alarm");
    fill(out,
      wrong.map((one) => el("p", { class: "wrong", role: "alert" }, `The arms of the rule ${one.rule} do not have the units that they should (${count(one.units)} units): believe no difference until it is known why.`)),
      report.variants.length ? sheet(el("h2", {}, `${count(report.requests)} requests of about ${count(report.users)} users`), table(
        [["variant", ""], ["requests", "n"], ["users", "n"], ["fail", "n"], ["median", "n"], ["p95", "n"], ["cost", "n"], ["characters", "n"]],
        report.variants.map((one) => [el("span", {}, el("b", {}, one.variant), " ", one.variant === report.default && chip("", "default")), count(one.requests), `${count(one.users)} · ${part(one.adoption)}`, part(one.error_rate), ms(one.latency_p50_ms), ms(one.latency_p95_ms), usd(one.cost_usd), count(one.output_chars)])))
        : el("p", { class: "empty" }, "It decided nothing that was recorded in this span."),
      report.compared.map(compared),
      el("p", { class: "quiet small" }, `Left out: ${count(report.left_out.not_tried)} not tried, ${count(report.left_out.pinned_apart)} pinned to another variant, ${count(report.left_out.too_young)} too young to compare, ${count(report.left_out.without_key)} without a key. Every interval holds at every look; the chance that any claim of this page is false is at most ${Number((report.alpha * 100).toFixed(2))} %.`));
  }

  function compared(one) {
    const row = (claim) => ({ name: claim.measure.replaceAll("_", " "), estimate: claim.difference?.estimate, low: claim.difference?.low, high: claim.difference?.high, kind: KINDS[claim.verdict] ?? "", says: claim.text });
    const groups = [["in % of the control's", one.claims.filter((claim) => claim.relative)], ["in points", one.claims.filter((claim) => !claim.relative)]].filter(([, claims]) => claims.length);
    return el("section", { class: "sheet", id: idOf("compared", one.rule, one.variant) }, el("header", {}, el("h2", {}, `${one.variant} against ${one.control ?? "who was passed over"}`), el("span", { class: "quiet small" }, `rule ${one.rule} · ${count(one.units)} and ${count(one.control_units)} units${one.part < 1 ? ` · a sample of ${part(one.part)}` : ""}`)),
      groups.map(([title, claims]) => [el("p", { class: "in quiet small" }, `Difference ${title}`), intervals(claims.map(row))]), groups.length === 0 && el("p", { class: "empty" }, NONE));
  }

  fill(root, head("Impact", "What the variants did, from the record. What is grey may not be claimed, whatever its middle says.", el("div", { class: "row" }, field("Flag", select), field("Looking back", since))), out);
  await refresh();
  // A report reads the record: it is made anew when somebody asks for it, not with every change.
  return { refresh: async () => {} };
}
