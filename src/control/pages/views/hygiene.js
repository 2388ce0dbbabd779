// What should be gone, and is still there.
import { get } from "/page/api.js";
import { chip, el, fill, head, sheet, table } from "/page/dom.js";

export async function hygiene(root) {
  const out = el("div", { class: "stack" });

  async function refresh() {
    try {
      const { findings } = await get("/hygiene");
      fill(out, findings.length ? el("section", { class: "sheet" }, table([["what", ""], ["finding", ""], ["owner", ""], ["since", ""], ["which means", ""]], findings.map((one) => [el("b", {}, one.what), chip("warn", one.kind.replaceAll("_", " ")), one.owner || "–", one.since || "–", one.says])))
        : el("p", { class: "empty" }, "Nothing is past its date, forgotten or unused."));
    } catch (error) {
      if (![404, 501].includes(error.status)) throw error;
      fill(out, sheet(el("h2", {}, "Not here"), el("p", { class: "in" }, "This gateway does not look for stale flags. Flags past their date are on the overview.")));
    }
  }

  fill(root, head("Hygiene", "Flags past their date, at 100 % for long or never asked; prompts, models and segments that nothing uses."), out);
  await refresh();
  return { refresh };
}
