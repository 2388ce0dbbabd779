// Flags with their rules; percentages as sliders that say who would move before they move anybody.
import { Refused, call, get, path } from "/page/api.js";
import { ask, kill, mark, revive, tell } from "/page/ask.js";
import { chip, count, el, fill, head, idOf, percent, points, rate, when } from "/page/dom.js";
import { shares } from "/page/plots.js";

// A moving thumb is asked about when it rests.
const REST_MS = 250;

export async function flags(root, app, [only]) {
  const list = el("div", { class: "stack" }), moving = new Map(), pending = new Map();
  const search = el("input", { id: "filter", type: "search", placeholder: "flag, owner, route …", value: only ?? "", on: { input: () => draw() } });
  let all = [], held = false, late = false;
  // Nothing is drawn anew under a thumb that is being moved.
  const holds = (on) => () => { held = on; if (!on && late) { late = false; draw(); } };

  async function refresh() {
    ({ flags: all } = await get("/flags"));
    if (held) late = true;
    else draw();
  }

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const has = (flag) => [flag.flag, flag.owner, flag.description, ...flag.used_by].some((text) => text.toLowerCase().includes(wanted));
    moving.clear();
    const shown = all.filter(has);
    fill(list, shown.map(flagSheet), shown.length === 0 && el("p", { class: "empty" }, all.length ? "No flag has this in its name." : "The configuration has no flags."));
    if (app.beat) live(app.beat);
  }

  function flagSheet(flag) {
    const target = "flag:" + flag.flag, share = el("div", { class: "share" });
    moving.set(flag.flag, share);
    const button = app.may && el("button", { id: idOf("kill", target), class: flag.killed ? "" : "danger", on: { click: () => (flag.killed ? revive(target) : kill(target)) } }, flag.killed ? "Revive …" : "Kill …");
    const dead = flag.variants.filter((one) => one.killed);
    return el("section", { class: "sheet" + (flag.killed ? " killed" : ""), id: idOf("flag", flag.flag) },
      el("header", {}, el("h2", { class: "name" }, flag.flag), flag.killed && chip("bad", "killed"), dated(flag), el("span", { class: "quiet small" }, [flag.owner, flag.used_by.join(", ") || "used nowhere"].join(" · ")),
        el("span", { class: "spacer row middle" }, el("a", { class: "small", href: "#/impact/" + encodeURIComponent(flag.flag) }, "impact"), button)),
      el("div", { class: "in stack" }, flag.description && el("p", {}, flag.description), share,
        dead.length > 0 && el("p", { class: "small" }, dead.map((one) => chip("bad", `${one.variant} is killed`)))),
      flag.rules.map((rule) => ruleRow(flag, rule)),
      el("footer", {}, flag.rules.length ? "everybody else: " : "everybody: ", el("b", {}, flag.default), ` · while killed: ${flag.off}`));
  }

  function dated(flag) {
    if (!flag.expires) return null;
    const days = Math.round((Date.parse(flag.expires) - Date.now()) / 864e5);
    return days < 0 ? chip("bad", `past its date, ${flag.expires}`) : chip(days < 30 ? "warn" : "", `until ${flag.expires}`);
  }

  function ruleRow(flag, rule) {
    const key = `flag:${flag.flag}#${rule.rule}`, id = idOf(flag.flag, rule.rule);
    const what = el("div", {}, el("p", { class: "name" }, rule.rule), el("p", { class: "quiet small" }, rule.when || "everybody"), el("p", { class: "small" }, "→ ", rule.serves));
    const says = el("p", { class: "says", id: "says-" + id, "aria-live": "polite" });
    const set = rule.override && el("p", { class: "says" }, `${rule.override.by} set it `, when(rule.override.at), `: ${rule.override.reason} · the file says ${percent(rule.file_percent)}`);
    if (!app.may) {
      return el("div", { class: "rule" }, what, el("div", { class: "slide" }, el("meter", { min: 0, max: 100, value: rule.percent, "aria-label": `percentage of ${rule.rule}` }), el("span", { class: "percent" }, percent(rule.percent)), set));
    }
    const slider = el("input", { type: "range", id: "slide-" + id, min: 0, max: 100, step: "any", "aria-label": `percentage of ${flag.flag}, rule ${rule.rule}`, "aria-describedby": says.id });
    const number = el("input", { type: "number", id: "number-" + id, min: 0, max: 100, step: "0.0001", "aria-label": `percentage of ${flag.flag}, rule ${rule.rule}, as a number` });
    const offer = el("div", { class: "offer" }), row = el("div", { class: "rule" }, what, el("div", { class: "slide" }, slider, number, offer, says, set));
    const one = { flag, rule, key, id, slider, number, says, offer, row, timer: 0, asked: 0 };
    slider.addEventListener("input", () => to(one, tidy(slider.valueAsNumber)));
    number.addEventListener("input", () => Number.isFinite(number.valueAsNumber) && to(one, Math.min(100, Math.max(0, number.valueAsNumber)), true));
    slider.addEventListener("pointerdown", holds(true));
    for (const end of ["pointerup", "pointercancel"]) slider.addEventListener(end, holds(false));
    to(one, pending.get(key) ?? rule.percent);
    return row;
  }

  // Whole numbers are what a hand means, and tenths where a tenth matters.
  const tidy = (value) => (value < 5 ? Math.round(value * 10) / 10 : Math.round(value));

  function to(one, value, typed = false) {
    const { rule, key, slider, number, row } = one;
    slider.value = String(value);
    slider.style.setProperty("--at", value + "%");
    slider.setAttribute("aria-valuetext", percent(value));
    if (!typed) number.value = String(value);
    const changed = value !== rule.percent;
    if (changed) pending.set(key, value);
    else pending.delete(key);
    row.classList.toggle("changed", changed);
    offers(one, changed, value);
    clearTimeout(one.timer);
    one.asked += 1;
    one.says.classList.remove("bad");
    if (!changed) return fill(one.says);
    fill(one.says, `${percent(rule.percent)} → ${percent(value)} …`);
    one.timer = setTimeout(() => preview(one, value), REST_MS);
  }

  function offers(one, changed, value) {
    const { rule, id, offer } = one;
    if (!changed) {
      const back = rule.override && el("button", { id: "reset-" + id, on: { click: () => reset(one) } }, `Back to the file's ${percent(rule.file_percent)} …`);
      return fill(offer, back);
    }
    fill(offer, el("button", { class: "main", id: "apply-" + id, on: { click: () => apply(one, value) } }, `Set ${percent(value)} …`), el("button", { id: "leave-" + id, on: { click: () => { to(one, rule.percent); one.slider.focus(); } } }, "Leave it"));
  }

  async function preview(one, value) {
    const mine = ++one.asked;
    const { lines, sum } = await whoMoves(one, value);
    if (mine !== one.asked) return;
    fill(one.says, el("b", {}, sum), lines.length ? `: ${lines.join("; ")}` : "");
  }

  async function whoMoves({ flag, rule }, value) {
    const plain = `${percent(rule.percent)} → ${percent(value)} of those whom this rule takes`;
    try {
      const { body } = await call("POST", `/flags${path(flag.flag)}/rules${path(rule.rule)}/preview`, { percent: value });
      const notes = body.notes ?? [];
      if (!body.seen) return { sum: plain, lines: notes.length ? notes : [`no users were seen ${within(body.window)}, so nobody can say how many move`] };
      const moved = body.moves.reduce((sum, move) => sum + move.share, 0);
      const sign = value < rule.percent ? -1 : 1;
      const named = (variant) => variant ?? "nothing of it";
      const lines = body.moves.map((move) => `${count(move.users)} of ${count(body.seen)} from ${named(move.from)} to ${named(move.to)}`);
      return { sum: `${points(sign * moved)} of users seen ${within(body.window)}`, lines: [...(lines.length ? lines : ["nobody who was seen moves"]), ...notes] };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const missing = [404, 405, 501].includes(error.status);
      return { sum: plain, lines: [missing ? "who that is cannot be said by this gateway" : error.message] };
    }
  }

  const within = (window) => (window === "1h" ? "this hour" : `in the last ${window}`);

  async function apply(one, value) {
    const { flag, rule, key } = one;
    const done = await ask({
      title: `Set ${flag.flag} · ${rule.rule} to ${percent(value)}`, confirm: `Set ${percent(value)}`,
      text: `It is at ${percent(rule.percent)}. The override holds until the file says another percentage.`,
      served: whoMoves(one, value).then(({ sum, lines }) => [sum, ...lines]),
      act: async (reason) => {
        mark(key);
        await call("PATCH", `/flags${path(flag.flag)}/rules${path(rule.rule)}`, { percent: value, reason });
        pending.delete(key);
        tell(`${flag.flag} · ${rule.rule} is at ${percent(value)}.`);
      },
    });
    if (done) await refresh();
  }

  async function reset({ flag, rule, key }) {
    const done = await ask({
      title: `Let the file's ${percent(rule.file_percent)} count again for ${flag.flag} · ${rule.rule}`, confirm: "Back to the file",
      text: `It is at ${percent(rule.percent)}.`,
      act: async (reason) => {
        mark(key);
        await call("DELETE", `/flags${path(flag.flag)}/rules${path(rule.rule)}/override?reason=${encodeURIComponent(reason)}`);
        tell(`${flag.flag} · ${rule.rule} is as the file says, ${percent(rule.file_percent)}.`);
      },
    });
    if (done) await refresh();
  }

  function live(beat) {
    for (const [key, node] of moving) {
      const of = beat.flags.filter((one) => one.flag === key).flatMap((one) => one.variants);
      const names = [...new Set(of.map((one) => one.variant))].sort();
      const sum = (name, number) => of.filter((one) => one.variant === name).reduce((sum, one) => sum + (number(one.now) ?? 0), 0);
      fill(node, names.length ? shares(names.map((name) => [name, sum(name, (now) => now.requests), rate(sum(name, (now) => now.rate))])) : el("p", { class: "quiet small" }, "It decided nothing in the last minute."));
    }
  }

  fill(root, head("Flags", "Rules are asked from the top; the first that takes a caller serves. Raising a percentage only adds users.", el("div", { class: "field" }, el("label", { for: "filter" }, "Show"), search)), list);
  await refresh();
  return { live, refresh };
}
