// The shell: who is signed in, which view is open, how the line to the gateway is.
import { dropToken, get, keepToken, token } from "/page/api.js";
import { isMine, tell } from "/page/ask.js";
import { clock, el, field, fill, head, sheet, write } from "/page/dom.js";
import { again, live, start, stop } from "/page/live.js";
import { adoption } from "/page/views/adoption.js";
import { audit } from "/page/views/audit.js";
import { breakers } from "/page/views/breakers.js";
import { explain } from "/page/views/explain.js";
import { flags } from "/page/views/flags.js";
import { hygiene } from "/page/views/hygiene.js";
import { impact } from "/page/views/impact.js";
import { kills } from "/page/views/kills.js";
import { overview } from "/page/views/overview.js";
import { shadows } from "/page/views/shadows.js";

const VIEWS = new Map(Object.entries({
  overview: ["Overview", overview], flags: ["Flags", flags], kills: ["Kill switches", kills], breakers: ["Breakers", breakers],
  impact: ["Impact", impact], shadows: ["Shadows", shadows], adoption: ["Adoption", adoption], explain: ["Explain", explain],
  audit: ["Audit", audit], hygiene: ["Hygiene", hygiene],
}));

const by = (id) => document.getElementById(id);

// What every view may ask: who looks, whether they may change, the configuration, and the numbers of now.
const app = { me: null, may: false, config: null, get beat() { return live.beat; } };

let open = null, turn = 0, seen = "", planned = 0;

function place() {
  const [name, ...args] = location.hash.replace(/^#\/?/, "").split("/");
  const decoded = args.map((one) => { try { return decodeURIComponent(one); } catch { return one; } });
  return VIEWS.has(name) ? [name, decoded] : ["overview", []];
}

// Opens the view that the address names, or shows it anew.
async function show(anew = false) {
  const mine = ++turn, [name, args] = place(), [title, view] = VIEWS.get(name);
  document.title = `${title} · dimmer`;
  for (const link of by("nav").children) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (anew && open?.name === name && open.refresh) {
    return open.refresh().catch((error) => mine === turn && failed(error));
  }
  by("nav").classList.remove("open");
  by("menu").setAttribute("aria-expanded", "false");
  const root = el("div", { class: "stack", "data-view": name });
  try {
    app.config ??= await get("/config");
    const shown = await view(root, app, args);
    if (mine !== turn) return;
    open = { name, ...shown };
    by("main").replaceChildren(root);
    root.dataset.ready = "yes";
    if (live.beat) open.live?.(live.beat);
  } catch (error) {
    if (mine === turn) failed(error);
  }
}

function failed(error) {
  open = null;
  if (error.status === 401) return;
  // What the API says is no defect of this page; everything else is.
  if (error.status === undefined) console.error(error);
  const retry = el("button", { id: "retry", on: { click: () => show() } }, "Try again");
  by("main").replaceChildren(head("That did not work", ""), sheet(el("h2", {}, error.code || "error"), el("div", { class: "in stack" }, el("p", { class: "wrong", role: "alert" }, error.message), el("div", {}, retry))));
}

// Something changed: what is shown is asked for again, once for several changes.
function soon() {
  clearTimeout(planned);
  planned = setTimeout(async () => {
    try {
      app.config = await get("/config");
      await show(true);
    } catch (error) {
      if (error.status !== 0 && error.status !== 401) tell(error.message);
    }
  }, 120);
}

const DONE = {
  kill: "was killed", revive: "was revived", set_percent: "has another percentage", reset: "is as the file says again",
  override_dropped: "lost its override: the file is newer", breaker_tripped: "tripped", breaker_reset: "was reset", breaker: "stands otherwise now",
  config_loaded: "was loaded", config_rejected: "was refused: the last good one goes on serving", rollback: "is rolled back", several: "went by",
};

function heard(kind, data) {
  if (!app.me) return;
  if (kind === "change") {
    if (!isMine(data.what)) tell(`${data.what} ${DONE[data.action] ?? data.action}${data.by ? ` · ${data.by}` : ""}${data.why ? `: ${data.why}` : ""}`);
    soon();
  }
  if (kind === "live" || kind === "back") {
    const now = `${data.generation} ${data.version}`;
    if (kind === "back" || (seen && seen !== now)) soon();
    seen = now;
    counts(data);
    open?.live?.(data);
  }
  line();
}

function counts(beat) {
  const opened = beat.breakers.filter((one) => one.state !== "closed").length;
  for (const [view, number] of [["kills", beat.kills.length], ["breakers", opened]]) {
    const badge = by("count-" + view);
    write(badge, number ? String(number) : "");
    badge.hidden = !number;
  }
}

// How the line is, and what must not be overlooked.
function line() {
  const old = live.at ? Math.round((Date.now() - live.at) / 1000) : 0;
  const lost = live.state === "lost" || (live.state === "live" && old > 4);
  by("line").className = lost ? "lost" : live.state;
  const words = { connecting: "connecting …", live: "live", lost: "connection lost" };
  write(by("line-text"), words[lost ? "lost" : live.state]);
  const loud = [];
  if (lost && app.me) {
    const wait = Math.max(0, Math.ceil((live.next - Date.now()) / 1000));
    const text = live.at ? `The numbers are ${old} s old.` : "There are no numbers yet.";
    loud.push(["lost", "bad", "Connection lost.", `${text} ${live.why} ${live.next > Date.now() ? `Trying again in ${wait} s.` : "Trying again …"}`, "Try now", again]);
  }
  const unstored = (live.beat?.kills ?? []).filter((kill) => !kill.durable).map((kill) => kill.target);
  if (unstored.length) {
    loud.push(["unstored", "bad", "Not stored:", `${unstored.join(", ")} ${unstored.length > 1 ? "are" : "is"} killed on this gateway only, and a restart would forget it. The state store does not take it; dimmer goes on trying.`]);
  }
  const all = (live.beat?.kills ?? []).filter((kill) => ["all", "flags"].includes(kill.target));
  for (const kill of all) {
    const what = kill.target === "all" ? "No language model is called." : "No flag decides.";
    loud.push(["kill-" + kill.target, "bad", what, `${kill.target} was killed by ${kill.by} at ${clock(kill.at)}: ${kill.reason}`]);
  }
  banners(loud);
}

// Only what is another is written, so that a screen reader says each thing once.
function banners(loud) {
  const list = by("loud"), wanted = new Set(loud.map(([id]) => "loud-" + id));
  for (const one of [...list.children]) if (!wanted.has(one.id)) one.remove();
  for (const [id, kind, strong, text, button, act] of loud) {
    let one = by("loud-" + id);
    if (!one) {
      one = el("div", { id: "loud-" + id, class: "banner " + kind }, el("strong", {}, strong), el("span", {}), button && el("button", { id: "loud-button-" + id, on: { click: act } }, button));
      list.append(one);
    }
    write(one.children[1], text);
  }
}

function signIn(wrong = "") {
  stop();
  app.me = null;
  turn += 1;
  open = null;
  by("nav").replaceChildren();
  by("who").replaceChildren();
  by("loud").replaceChildren();
  write(by("line-text"), "not signed in");
  by("line").className = "";
  const typed = el("input", { id: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const said = el("p", { class: "wrong", role: "alert" }, wrong);
  const form = el("form", {}, field("Token", typed), said, el("div", { class: "end" }, el("button", { class: "main", type: "submit", id: "sign-in" }, "Sign in")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    keepToken(typed.value.trim());
    said.textContent = "";
    await enter();
  });
  by("main").replaceChildren(el("div", { class: "signin stack" }, head("Sign in", "With a token of admin.tokens. It stays in this tab, until you close it or sign out."), el("section", { class: "sheet" }, el("div", { class: "in" }, form))));
  typed.focus();
}

async function enter() {
  const had = token();
  try {
    // A header cannot carry every sign; what it cannot is no token of anybody.
    app.me = /^[\x21-\x7e]*$/.test(had ?? "") ? await get("/me") : null;
    if (!app.me) throw Object.assign(new Error(), { status: 401 });
  } catch (error) {
    if (error.status === 401) {
      dropToken();
      return signIn(had ? "This is no token of admin.tokens. Check that all of it was copied, and that it was not replaced." : "");
    }
    live.state = "lost";
    failed(error);
    by("retry")?.replaceWith(el("button", { id: "retry", on: { click: enter } }, "Try again"));
    return;
  }
  app.may = app.me.role === "operator";
  app.config = null;
  const out = el("button", { id: "sign-out", class: "ghost", on: { click: () => { dropToken(); signIn(); } } }, "Sign out");
  fill(by("who"), el("span", {}, app.me.who, el("span", { class: "role" }, app.me.tokens ? ` · ${app.me.role}` : " · no tokens")), app.me.tokens && out);
  fill(by("nav"), [...VIEWS].map(([name, [title]]) => el("a", { href: "#/" + name, "data-view": name, id: "nav-" + name }, title, ["kills", "breakers"].includes(name) && el("span", { class: "count bad", id: "count-" + name, hidden: true }))));
  live.state = "connecting";
  start(heard);
  await show();
}

by("menu").addEventListener("click", () => by("menu").setAttribute("aria-expanded", String(by("nav").classList.toggle("open"))));
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); by("main").focus(); });
window.addEventListener("hashchange", () => { if (app.me) show().then(() => { by("main").focus({ preventScroll: true }); window.scrollTo(0, 0); }); });
document.addEventListener("stranger", () => { if (app.me) { dropToken(); signIn("The gateway does not know this token any more: it was changed, or taken away."); } });
document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
window.addEventListener("online", again);
setInterval(() => app.me && line(), 500);
enter();
