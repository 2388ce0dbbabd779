// Asks the API. The token stays in this tab, and goes out as a header that no other site can make a browser send.
const KEY = "dimmer-admin-token";
export const token = () => sessionStorage.getItem(KEY);
export const keepToken = (text) => sessionStorage.setItem(KEY, text);
export const dropToken = () => sessionStorage.removeItem(KEY);

// What the API says when it does not do what it was asked to.
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const headers = () => (token() ? { authorization: "Bearer " + token() } : {});
export const path = (...parts) => parts.map((one) => "/" + encodeURIComponent(one)).join("");

async function refusal(answer) {
  let code = "", message = `the gateway answered ${answer.status} ${answer.statusText}`;
  try {
    ({ code, message } = JSON.parse(await answer.text()).error);
  } catch {
    // It is no error of the API: the status has to do.
  }
  return new Refused(answer.status, code, message);
}

// Gives what the API answers; `status` beside it, where that says more.
export async function call(method, where, body) {
  const sent = { method, headers: headers(), credentials: "omit", redirect: "error", cache: "no-store" };
  if (body !== undefined) {
    sent.headers["content-type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch("/api/v1" + where, sent);
  } catch {
    throw new Refused(0, "unreachable", "The gateway does not answer: it is down, restarting, or cannot be reached from here. Nothing says whether the last change was made.");
  }
  if (!answer.ok) {
    const refused = await refusal(answer);
    if (refused.status === 401) document.dispatchEvent(new CustomEvent("stranger"));
    throw refused;
  }
  try {
    return { status: answer.status, body: await answer.json() };
  } catch {
    throw new Refused(answer.status, "broken", "The gateway's answer broke off, or is no JSON. Look again before you act on it.");
  }
}

export const get = async (where) => (await call("GET", where)).body;

export async function stream(where, signal) {
  const answer = await fetch("/api/v1" + where, { headers: headers(), credentials: "omit", redirect: "error", cache: "no-store", signal });
  if (!answer.ok) throw await refusal(answer);
  return answer.body;
}
