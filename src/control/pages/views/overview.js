// What is on, for whom, now.
import { get } from "/page/api.js";
import { kill, revive } from "/page/ask.js";
import { NONE, ago, chip, count, el, fill, head, idOf, ms, part, percent, rate, sheet, write } from "/page/dom.js";
import { live as line } from "/page/live.js";
import { shares, spark } from "/page/plots.js";

export async function overview(root, app) {
  const tiles = el("div", { class: "tiles" }), odd = el("div"), remarks = el("div"), list = el("div", { class: "stack" });
  const moving = new Map();
  let flags = [];

  async function refresh() {
    ({ flags } = await get("/flags"));
    fill(list, app.config.routes.map(routeSheet));
    const { warnings } = app.config;
    fill(remarks, warnings.length > 0 && el("details", { class: "sheet" }, el("summary", { id: "remarks" }, `The file: ${warnings.length} ${warnings.length > 1 ? "remarks" : "remark"}`), el("ul", { class: "notices" }, warnings.map((one) => el("li", {}, one)))));
    if (app.beat) live(app.beat);
  }

  function routeSheet(route) {
    const target = "route:" + route.route, stats = el("div"), who = el("div"), state = el("span");
    moving.set(route.route, { stats, who, state, route });
    const button = app.may && el("button", { id: idOf("kill", target), class: "danger", on: { click: () => (isKilled(target) ? revive(target) : kill(target)) } }, "Kill …");
    moving.get(route.route).button = button;
    const names = [route.path, ...route.aliases.map((alias) => `model "${alias}"`)].filter(Boolean);
    return el("section", { class: "sheet", id: idOf("route", route.route) },
      el("header", {}, el("h2", { class: "name" }, route.route), el("span", { class: "quiet mono" }, names.join(" · ") || "everything else"), state, el("span", { class: "spacer" }, button)),
      el("div", { class: "in route-body" }, stats, el("div", {}, who, el("dl", { class: "slots" }, route.slots.map(slot)))));
  }

  const slot = (one) => [el("dt", {}, one.flag ? el("a", { href: "#/flags/" + encodeURIComponent(one.flag), title: `decided by the flag ${one.flag}` }, one.slot) : one.slot), el("dd", {}, clauses(one.says))];
  const isKilled = (target) => app.beat?.kills.some((one) => one.target === target);

  function live(beat) {
    writeTiles(tiles, beat);
    notices(odd, flags, beat);
    for (const route of beat.routes) {
      const parts = moving.get(route.route);
      if (parts) writeRoute(parts, route, isKilled("route:" + route.route));
    }
  }

  fill(root, head("What is on, for whom, now", "Rates are of the last ten seconds, everything else of the last minute."), tiles, odd, list, remarks);
  fill(tiles, el("div", { class: "tile" }, el("b", {}, NONE), el("span", {}, "requests")));
  await refresh();
  return { live, refresh };
}

// Each part of a sentence on a line of its own, and why it is so in grey: `10 % new (rule canary), else old (flag model's default)`.
function clauses(says) {
  return says.split(/, (?![^()]*\))/).map((clause) => {
    const [, what, why] = /^(.*?)(?: \((.*)\))?$/s.exec(clause);
    return el("div", {}, what, why && el("span", { class: "why-so" }, ` (${why})`));
  });
}

function writeTiles(tiles, beat) {
  const sum = (of) => beat.routes.reduce((sum, route) => sum + (of(route) ?? 0), 0);
  const known = beat.routes.some((route) => route.now.rate !== null);
  const requests = sum((route) => (route.now.error_rate === null ? 0 : route.now.requests));
  const errors = requests ? sum((route) => (route.now.error_rate ?? 0) * route.now.requests) / requests : null;
  const slowest = Math.max(...beat.routes.map((route) => route.now.p95_ms ?? -1));
  const open = beat.breakers.filter((one) => one.state !== "closed").length;
  fill(tiles, [
    [known ? rate(sum((route) => route.now.rate)) : NONE, "requests", ""],
    [part(errors), "fail", errors > 0.05 ? "bad" : ""],
    [slowest < 0 ? NONE : ms(slowest), "slowest p95", ""],
    [count(sum((route) => route.in_flight)), "in flight", ""],
    [count(beat.kills.length), "killed", beat.kills.length ? "bad" : ""],
    [count(open), "breakers not closed", open ? "warn" : ""],
  ].map(([number, text, kind]) => el("div", { class: "tile " + kind }, el("b", {}, number), el("span", {}, text))));
}

function writeRoute({ stats, who, state, button, route }, now, killed) {
  const fact = (number, text, kind) => el("div", { class: "fact " + (kind ?? "") }, el("b", {}, number), el("span", {}, text));
  const n = now.now;
  const past = line.past.get(now.route) ?? [];
  const idle = !n.requests && !now.in_flight;
  fill(stats, idle ? el("p", { class: "quiet" }, "No request in the last minute.") : el("div", { class: "facts" }, fact(rate(n.rate), "requests"), fact(part(n.error_rate), "fail", n.error_rate > 0.05 && "bad"), fact(ms(n.p50_ms), "median"), fact(ms(n.p95_ms), "p95"), fact(count(n.output_chars), "characters"), fact(count(now.in_flight), "in flight")),
    past.some((rate) => rate > 0) && spark(past, `requests per second of ${now.route}, the last minutes`));
  const models = [...now.models].sort((a, b) => b.now.requests - a.now.requests || (a.model < b.model ? -1 : 1));
  fill(who, models.length > 0 && shares(models.map((one) => [one.model, one.now.requests, `${ms(one.now.p95_ms)} p95`])));
  fill(state, now.killed ? chip("bad", "no model is called") : n.requests ? chip("good", "serving") : chip("", route.fallback.length || route.slots.length ? "quiet" : "passes through"));
  state.closest(".sheet").classList.toggle("killed", now.killed);
  if (button) {
    write(button, killed ? "Revive …" : "Kill …");
    button.classList.toggle("danger", !killed);
  }
}

// What is not as the file says, or not as it should be.
function notices(odd, flags, beat) {
  const rows = [];
  const row = (kind, word, text, more) => rows.push([`${word} ${text}`, el("li", {}, chip(kind, word), el("span", {}, text), more)]);
  for (const one of beat.kills) row("bad", "killed", `${one.target}: ${one.reason}`, el("span", { class: "quiet small" }, `${one.by}, ${ago(one.at)}`));
  for (const one of beat.breakers.filter((one) => one.state !== "closed")) row("warn", one.state.replace("_", " "), one.id, el("a", { href: "#/breakers" }, "its measurements"));
  for (const flag of flags) {
    for (const rule of flag.rules.filter((rule) => rule.override)) row("accent", "override", `${flag.flag} · ${rule.rule} is at ${percent(rule.percent)}, the file says ${percent(rule.file_percent)}: ${rule.override.reason}`, el("span", { class: "quiet small" }, `${rule.override.by}, ${ago(rule.override.at)}`));
    if (flag.expires && Date.parse(flag.expires) < beat.at_ms) row("warn", "past its date", `${flag.flag} should be gone since ${flag.expires}; it goes on deciding`, el("span", { class: "quiet small" }, flag.owner));
  }
  // Who reads it is not disturbed as long as it says the same.
  const same = rows.map(([text]) => text).join("\n");
  if (odd.dataset.said === same) return;
  odd.dataset.said = same;
  fill(odd, rows.length ? sheet(el("h2", {}, "Not as usual"), el("ul", { class: "notices" }, rows.map(([, node]) => node))) : el("p", { class: "quiet small" }, "Nothing is killed, no breaker is open, and every percentage is the file's."));
}
