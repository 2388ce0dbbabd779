// Who did what, when and why; and whether nobody changed that afterwards.
import { get } from "/page/api.js";
import { chip, clock, count, el, fill, head, sheet, table } from "/page/dom.js";

const PAGE = 50;

export async function audit(root) {
  const whole = el("div"), list = el("div", { class: "stack" });
  let first = 0;

  async function refresh() {
    const verified = await get("/audit/verify");
    fill(whole, sheet(el("h2", {}, "The chain"), el("div", { class: "in stack" },
      el("p", {}, verified.ok ? chip("good", "as it was written") : chip("bad", "NOT as it was written"), ` ${count(verified.entries)} entries. `, verified.problem ?? (verified.entries ? `The last one is number ${verified.number}.` : "Nothing was done yet.")),
      verified.entries > 0 && el("p", { class: "quiet small mono" }, verified.hash))));
    // A chain that breaks is shown to its end all the same.
    let after = Math.max(0, verified.number - PAGE), entries = [];
    for (;;) {
      const more = (await get(`/audit?after=${after}&limit=1000`)).entries;
      entries = [...entries, ...more].slice(-PAGE);
      if (more.length < 1000) break;
      after = more.at(-1).number;
    }
    first = entries[0]?.number ?? 0;
    fill(list, entries.length ? [rows(entries), first > 1 && older()] : el("p", { class: "empty" }, "The audit is empty: nothing was done yet."));
  }

  const older = () => el("div", {}, el("button", { id: "older", on: { click: async (event) => {
    const button = event.currentTarget, after = Math.max(0, first - 1 - PAGE);
    const { entries } = await get(`/audit?after=${after}&limit=${first - 1 - after}`);
    first = entries[0]?.number ?? 1;
    button.parentNode.replaceWith(rows(entries), first > 1 ? older() : "");
  } } }, "Older entries"));

  const rows = (entries) => el("section", { class: "sheet" }, table([["number", "n"], ["when", ""], ["who", ""], ["did", ""], ["to", ""], ["from → to", ""], ["why", ""]],
    [...entries].reverse().map((one) => [String(one.number), el("time", { datetime: one.at }, clock(one.at)), one.who, one.action, one.what, one.from || one.to ? `${one.from} → ${one.to}` : "", one.why])));

  fill(root, head("Audit", "Each entry is hashed together with the hash before it: a change, a gap or an entry put in afterwards shows."), whole, list);
  await refresh();
  return { refresh };
}
