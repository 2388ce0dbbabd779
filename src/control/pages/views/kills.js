// Kill switches of everything that can be named.
import { get } from "/page/api.js";
import { kill, revive } from "/page/ask.js";
import { chip, el, fill, head, idOf, when } from "/page/dom.js";

export async function kills(root, app, [filter]) {
  const list = el("div", { class: "columns" });
  const search = el("input", { id: "filter", type: "search", placeholder: "route, flag, model …", value: filter ?? "", on: { input: () => draw() } });
  let flags = [], killed = new Map();

  async function refresh() {
    const [all, now] = await Promise.all([get("/flags"), get("/kills")]);
    flags = all.flags;
    killed = new Map(now.kills.map((one) => [one.target, one]));
    draw();
  }

  function draw() {
    const { config } = app;
    const groups = [
      ["Everything", [["all", "no route calls a language model"], ["flags", "no flag decides: every request keeps its own values"]]],
      ["Routes", config.routes.map((one) => ["route:" + one.route, "calls no language model"])],
      ["Flags and their variants", flags.flatMap((flag) => [["flag:" + flag.flag, `serves its off, ${flag.off}`], ...flag.variants.map((one) => [`flag:${flag.flag}/${one.variant}`, `gives way to ${[flag.default, flag.off].find((other) => other !== one.variant) ?? "the request's own value"}`, true])])],
      ["Models", config.models.map((one) => ["model:" + one.model, `at ${one.provider}`])],
      ["Providers", config.providers.map((one) => ["provider:" + one, config.models.filter((model) => model.provider === one).map((model) => model.model).join(", ") || "no declared model"])],
      ["Shadows", config.routes.flatMap((route) => route.shadows.map((name) => [`shadow:${route.route}/${name}`, "gets no copies"]))],
      ["Tools", config.tools.map((one) => ["tool:" + one, "is taken out of every request"])],
    ];
    // What is killed is shown even where no file names it any more.
    const named = new Set(groups.flatMap(([, targets]) => targets.map(([target]) => target)));
    groups.push(["Killed, and in no file", [...killed.keys()].filter((target) => !named.has(target)).map((target) => [target, ""])]);
    const wanted = search.value.trim().toLowerCase();
    const drawn = groups.map(([title, targets]) => [title, targets.filter(([target]) => target.toLowerCase().includes(wanted))]).filter(([, targets]) => targets.length);
    fill(list, drawn.map(([title, targets]) => el("section", { class: "sheet" }, el("header", {}, el("h2", {}, title)), targets.map(row))), drawn.length === 0 && el("p", { class: "empty" }, "Nothing has this in its name."));
  }

  function row([target, text, under]) {
    const one = killed.get(target);
    const act = app.may && el("button", { id: idOf("kill", target), class: one ? "" : "danger", "aria-label": `${one ? "Revive" : "Kill"} ${target}`, on: { click: () => (one ? revive(target) : kill(target)) } }, one ? "Revive …" : "Kill …");
    const state = one ? [chip("bad", "killed"), !one.durable && chip("warn", "not stored")] : [];
    return el("div", { class: `target ${one ? "killed" : ""} ${under ? "under" : ""}`, "data-target": target },
      el("div", {}, el("p", { class: "row middle" }, el("span", { class: "name" }, target), state),
        one ? el("p", { class: "small" }, `${one.reason || "no reason given"} · ${one.by}${one.origin === "person" ? "" : ` (${one.origin})`} · `, when(one.at)) : el("p", { class: "quiet small" }, text)), act || el("span"));
  }

  // Requests may name models and tools that no file does.
  const kind = el("select", { id: "other-kind" }, el("option", {}, "tool"), el("option", {}, "model"));
  const name = el("input", { id: "other-name", required: true, placeholder: "its name, as requests say it" });
  const other = el("form", { class: "row", on: { submit: (event) => { event.preventDefault(); kill(`${kind.value}:${name.value.trim()}`); } } },
    el("div", { class: "field" }, el("label", { for: "other-kind" }, "Another"), kind), el("div", { class: "field" }, el("label", { for: "other-name" }, "Name"), name), el("button", { class: "danger", id: "other-kill" }, "Kill …"));

  fill(root, head("Kill switches", "The next request obeys; a kill survives restarts and never ends by itself.", el("div", { class: "field" }, el("label", { for: "filter" }, "Show"), search)),
    list, app.may && el("section", { class: "sheet" }, el("header", {}, el("h2", {}, "What no file names")), el("div", { class: "in" }, other)));
  await refresh();
  return { refresh };
}
