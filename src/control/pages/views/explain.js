// Who would get what now, and why: by the code that serves.
import { call } from "/page/api.js";
import { chip, el, field, fill, head, idOf, sheet, table } from "/page/dom.js";

export async function explain(root, app) {
  const out = el("div", { class: "stack", "aria-live": "polite" });
  const route = el("select", { id: "route" }, app.config.routes.map((one) => el("option", {}, one.route)));
  const user = el("input", { id: "user", autocomplete: "off", placeholder: "the targeting key" });
  const model = el("input", { id: "asked-model", autocomplete: "off", placeholder: "that the app asks for" });
  const attributes = app.config.attributes.map((one) => {
    const id = idOf("attribute", one.attribute), choices = one.kind === "bool" ? ["true", "false"] : one.order ?? [];
    const input = choices.length ? el("select", { id }, el("option", { value: "" }, "not sent"), choices.map((text) => el("option", {}, text))) : el("input", { id, size: 12, inputmode: one.kind === "number" ? "decimal" : "text" });
    return [one.attribute, input];
  });
  const request = el("input", { id: "request", autocomplete: "off", required: true, placeholder: "req_… or the answer's id" });

  async function tell(body) {
    try {
      const said = (await call("POST", "/explain", body)).body;
      fill(out, body.request_id ? recorded(said) : decided(said));
    } catch (error) {
      fill(out, sheet(el("h2", {}, "That cannot be explained"), el("p", { class: "in wrong", role: "alert" }, error.message)));
    }
  }

  function decided(said) {
    const answer = said.off ? `nobody: the route is off${said.reply ? `, and the reply ${said.reply} stands in` : ""}` : said.refusal ? `an error: ${said.refusal}` : said.reply ? `the reply ${said.reply}` : said.model ? `the model ${said.model}` : "the model that the app asks for";
    const params = Object.entries(said.params ?? {}).map(([name, edit]) => `${name}: ${Object.entries(edit).map(([how, value]) => `${how} ${JSON.stringify(value)}`).join(", ")}`);
    return [
      sheet(el("h2", {}, "Answered by ", answer), el("div", { class: "in stack" }, said.fallback && el("p", {}, chip("warn", "fallback"), " ", said.fallback), params.length > 0 && el("p", { class: "small" }, params.join(" · ")),
        el("ol", { class: "why" }, said.why.map((line) => el("li", {}, line))))),
      said.flags.length > 0 && sheet(el("h2", {}, "Flags"), table([["flag", ""], ["variant", ""], ["reason", ""], ["rule", ""], ["bucket", "n"]], said.flags.map((one) => [one.flag, el("span", {}, el("b", {}, one.variant), one.served && ` → ${one.served}`), [one.reason, one.error].filter(Boolean).join(" "), one.rule ?? "–", one.bucket ?? "–"]))),
    ];
  }

  // What the record has of a request; whatever it is, it is shown as it is.
  function recorded(said) {
    const plain = (value) => (value !== null && typeof value === "object" ? el("code", {}, JSON.stringify(value)) : String(value));
    return sheet(el("h2", {}, "From the record"), table([["what", ""], ["it was", ""]], Object.entries(said).filter(([, value]) => value !== null).map(([name, value]) => [name.replaceAll("_", " "), plain(value)])));
  }

  const who = el("form", { class: "row", on: { submit: (event) => {
    event.preventDefault();
    const given = attributes.filter(([, input]) => input.value !== "").map(([name, input]) => [name, input.value]);
    tell({ route: route.value, ...(user.value && { targeting_key: user.value }), ...(model.value && { model: model.value }), attributes: Object.fromEntries(given) });
  } } }, field("Route", route), field("User", user), attributes.map(([name, input]) => field(name, input)), field("Model", model), el("button", { class: "main", id: "explain" }, "Explain"));
  const which = el("form", { class: "row", on: { submit: (event) => { event.preventDefault(); tell({ request_id: request.value.trim() }); } } }, field("Request", request), el("button", { id: "explain-request" }, "Look it up"));
  fill(root, head("Explain", "Who would get what now, and why. Nothing is sent, and nothing is changed."), sheet(el("h2", {}, "A user"), el("div", { class: "in" }, who)), sheet(el("h2", {}, "A request that was answered"), el("div", { class: "in" }, which)), out);
  return { refresh: async () => {} };
}
