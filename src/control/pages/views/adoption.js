// Who is served what: requests and users of a route, by what answered them, day by day.
import { get, path } from "/page/api.js";
import { chip, count, el, field, fill, head, part, sheet, table } from "/page/dom.js";
import { KINDS, columns, shares } from "/page/plots.js";
import { spans } from "/page/views/impact.js";

export async function adoption(root, app, [asked]) {
  const routes = app.config.routes.map((one) => one.route);
  const route = routes.includes(asked) ? asked : routes[0];
  const out = el("div", { class: "stack" }), since = spans(() => refresh());
  const select = el("select", { id: "route", on: { change: () => { location.hash = "#/adoption/" + encodeURIComponent(select.value); } } }, routes.map((one) => el("option", { selected: one === route }, one)));

  async function refresh() {
    fill(out, el("p", { class: "empty" }, "The records are being read …"));
    try {
      draw(await get(`/adoption${path(route)}?since=${since.value}`));
    } catch (error) {
      fill(out, sheet(el("h2", {}, "Nothing to report"), el("div", { class: "in" }, el("p", {}, error.message))));
    }
  }

  function draw(report) {
    const names = report.served.slice(0, KINDS - 1).map((one) => one.by);
    const day = (one) => [...names.map((name) => one.served.filter((by) => by.by === name).reduce((sum, by) => sum + by.requests, 0)), one.served.filter((by) => !names.includes(by.by)).reduce((sum, by) => sum + by.requests, 0)];
    const first = report.days[0], last = report.days.at(-1);
    const date = (ms) => new Date(ms).toISOString().slice(0, 10);
    fill(out, report.total.requests === 0 ? el("p", { class: "empty" }, "Nobody asked in this span, as far as is recorded.") : [
      sheet(el("h2", {}, `${count(report.total.requests)} requests of about ${count(report.total.users)} users`), el("div", { class: "in" }, columns(report.days.map(day), `requests by day, ${report.days.length} days`),
        el("p", { class: "quiet small" }, first === last ? date(first.day_ms) : `${date(first.day_ms)} to ${date(last.day_ms)}, days of UTC`), shares(report.served.map((one) => [one.by, one.requests])))),
      sheet(el("h2", {}, "By what answered"), table([["served by", ""], ["requests", "n"], ["of all", "n"], ["users", "n"], ["of all users", "n"]], report.served.map((one) => [el("span", {}, el("b", {}, one.by), " ", one.reply && chip("", "reply")), count(one.requests), part(one.requests_part), count(one.users), part(one.users_part)]))),
    ]);
  }

  fill(root, head("Adoption", "Requests and users of a route by what answered them. A user may have been served by several.", el("div", { class: "row" }, field("Route", select), field("Looking back", since))), out);
  await refresh();
  // A report reads the record: it is made anew when somebody asks for it, not with every change.
  return { refresh: async () => {} };
}
