// Asks before something is changed, and tells what became of it.
import { call } from "/page/api.js";
import { el, fill } from "/page/dom.js";

// A reason first, and what will be served; then it is done. Gives true when it was.
//   title, text, confirm: words · danger · served: a promise of sentences · act: does it, with the reason
export function ask({ title, text, confirm, danger, served, act }) {
  return new Promise((done) => {
    const opener = document.activeElement?.id;
    const reason = el("textarea", { id: "reason", name: "reason", required: true, maxlength: 2000, autofocus: true, placeholder: "It stands in the audit: what do you see, what do you expect?" });
    const after = el("ul", { class: "after", "aria-live": "polite" }, el("li", { class: "quiet" }, "asking what will be served …"));
    const wrong = el("p", { class: "wrong", role: "alert" });
    const go = el("button", { type: "submit", class: danger ? "danger main" : "main", id: "confirm" }, confirm);
    const form = el("form", { method: "dialog" }, el("h2", { id: "asked" }, title), text && el("p", {}, text),
      served && el("div", {}, el("h3", { class: "quiet" }, "What is served after it"), after),
      el("div", { class: "field" }, el("label", { for: "reason" }, "Reason"), reason), wrong,
      el("div", { class: "end" }, el("button", { type: "button", id: "cancel", on: { click: () => dialog.close() } }, "Cancel"), go));
    const dialog = el("dialog", { "aria-labelledby": "asked" }, form);
    let did = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!reason.value.trim()) {
        wrong.textContent = "Say why: whoever looks at the audit tonight needs it.";
        return reason.focus();
      }
      go.disabled = true;
      wrong.textContent = "";
      try {
        await act(reason.value.trim());
        did = true;
        dialog.close();
      } catch (error) {
        wrong.textContent = error.message;
        go.disabled = false;
      }
    });
    // As people send messages elsewhere.
    reason.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      // What opened it may have gone with what it changed.
      (document.getElementById(opener) ?? document.getElementById("main")).focus({ preventScroll: true });
      done(did);
    });
    document.body.append(dialog);
    dialog.showModal();
    served?.then((lines) => fill(after, lines.map((line) => el("li", {}, line))), (error) => fill(after, el("li", { class: "wrong" }, error.message)));
  });
}

// Something that happened; it goes by itself, and screen readers say it.
export function tell(text) {
  const told = el("div", { class: "told" }, text);
  const list = document.getElementById("told");
  list.append(told);
  while (list.children.length > 4) list.firstChild.remove();
  setTimeout(() => told.remove(), 6000);
}

// What this tab did itself, it was told of already.
const mine = new Map();
export function mark(what) {
  mine.set(what, Date.now());
}
export const isMine = (what) => Date.now() - (mine.get(what) ?? 0) < 8000;

const sentence = (served) => served.slice(0, 2).join("; ");

export function kill(target) {
  return ask({
    title: `Kill ${target}`, confirm: "Kill", danger: true,
    text: "The next request obeys. It stays killed, also after a restart, until somebody revives it.",
    served: call("POST", "/kill", { target, reason: "", dry_run: true }).then(({ body }) => body.served),
    act: async (reason) => {
      mark(target);
      const { status, body } = await call("POST", "/kill", { target, reason });
      const stored = status === 202 || !body.durable ? "It holds, and is NOT STORED yet: a restart would forget it." : "Stored.";
      tell(`${target} is killed. ${stored} ${sentence(body.served)}`);
    },
  });
}

export function revive(target) {
  return ask({
    title: `Revive ${target}`, confirm: "Revive",
    text: "Traffic comes back with the next request.",
    served: call("POST", "/revive", { target, reason: "", dry_run: true }).then(({ body }) => body.served),
    act: async (reason) => {
      mark(target);
      const { body } = await call("POST", "/revive", { target, reason });
      tell(`${target} is alive again. ${sentence(body.served)}`);
    },
  });
}
