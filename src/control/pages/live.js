// What happens now: server-sent events, read by `fetch` because `EventSource` cannot send a token. A line that is lost is told, and
// tried again with growing pauses.
import { stream } from "/page/api.js";

const FIRST_MS = 500, LAST_MS = 10_000;
// The gateway says something each second.
const SILENCE_MS = 5_000;

export const live = { beat: null, at: 0, state: "connecting", why: "", next: 0, past: new Map() };
const PAST = 90;

let hear = () => {}, ended = null, wake = null, stopped = true;

export function start(listener) {
  hear = listener;
  if (!stopped) return;
  stopped = false;
  keepOn();
}

export function stop() {
  stopped = true;
  ended?.abort();
  wake?.();
}

// Now rather than after the pause.
export function again() {
  wake?.();
}

async function keepOn() {
  let pause = FIRST_MS;
  while (!stopped) {
    const begun = Date.now();
    try {
      await listen();
      // It ended whole: the configuration changed, and who may listen is asked again.
      if (!stopped && live.state === "live" && Date.now() - begun > LAST_MS / 10) {
        pause = FIRST_MS;
        continue;
      }
    } catch (error) {
      if (stopped) return;
      if (error.status === 401) return document.dispatchEvent(new CustomEvent("stranger"));
      live.why = error.code ? error.message : "";
      if (live.state === "live") pause = FIRST_MS;
    }
    if (stopped) return;
    live.state = "lost";
    const wait = pause * (0.75 + Math.random() / 2);
    live.next = Date.now() + wait;
    hear("line");
    await new Promise((done) => {
      const timer = setTimeout(done, wait);
      wake = () => { clearTimeout(timer); done(); };
    });
    wake = null;
    pause = Math.min(pause * 2, LAST_MS);
  }
}

async function listen() {
  ended = new AbortController();
  let heard = Date.now();
  const watch = setInterval(() => Date.now() - heard > SILENCE_MS && ended.abort(), 500);
  try {
    const reader = (await stream("/events", ended.signal)).getReader();
    const text = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      rest += text.decode(value, { stream: true });
      const events = rest.split("\n\n");
      rest = events.pop();
      events.forEach(take);
    }
  } finally {
    clearInterval(watch);
    ended.abort();
  }
}

function take(event) {
  let name = "", data = "";
  for (const line of event.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (name === "live") {
    const back = live.state !== "live";
    const beat = JSON.parse(data);
    Object.assign(live, { beat, at: Date.now(), state: "live", why: "" });
    for (const route of beat.routes) {
      const past = live.past.get(route.route) ?? [];
      if (route.now.rate !== null) past.push(route.now.rate);
      live.past.set(route.route, past.slice(-PAST));
    }
    hear(back ? "back" : "live", beat);
  } else if (name === "change") {
    hear("change", JSON.parse(data));
  }
}
