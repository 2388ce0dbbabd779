// Plots, drawn by hand.
import { el, svg, part } from "/page/dom.js";

export const KINDS = 7;

// A line of the last numbers; the newest is at the right end.
export function spark(values, name) {
  const width = Math.max(values.length, 30) - 1, high = 34, most = Math.max(...values, 0.1) * 1.1;
  const at = (value, place) => `${(width - values.length + 1 + place).toFixed(1)} ${(high - (value / most) * (high - 3)).toFixed(2)}`;
  const line = values.length < 2 ? "" : "M" + values.map(at).join("L");
  const area = line && `${line}L${width} ${high}L${width - values.length + 1} ${high}Z`;
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${high}`, preserveAspectRatio: "none", role: "img", "aria-label": name },
    svg("path", { class: "area", d: area }), svg("path", { d: line }));
}

// Who has which part, as one bar with its words. `parts`: [name, number, words].
export function shares(parts) {
  const sum = parts.reduce((sum, [, number]) => sum + number, 0);
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const legend = el("ul", { class: "legend" });
  parts.forEach(([name, number, words], place) => {
    const kind = "k" + Math.min(place, KINDS - 1);
    const piece = el("i", { class: kind });
    piece.style.flexGrow = String(sum ? number / sum : 0);
    if (number > 0) bar.append(piece);
    legend.append(el("li", {}, el("i", { class: kind }), name, el("span", { class: "number" }, part(sum ? number / sum : 0), words ? " · " + words : "")));
  });
  return [bar, legend];
}

// Rows on one scale: { name, low, high, estimate, kind, says }. Ends that are null are anything.
export function intervals(rows, zero = 0) {
  const ends = rows.flatMap((row) => [row.low, row.high, row.estimate]).filter((value) => Number.isFinite(value)).map((value) => value - zero);
  const far = Math.min(Math.max(...ends.map(Math.abs), 0.02) * 1.05, 3);
  const x = (value) => Math.max(0, Math.min(200, 100 + ((value - zero) / far) * 100)).toFixed(2);
  return rows.map((row) => {
    const drawn = [svg("line", { class: "zero", x1: 100, x2: 100, y1: 0, y2: 22 })];
    if (Number.isFinite(row.low)) {
      const high = Number.isFinite(row.high) ? row.high : zero + far * 2;
      drawn.push(svg("line", { class: "span", x1: x(row.low), x2: x(high), y1: 11, y2: 11 }));
    }
    if (Number.isFinite(row.estimate) && Number.isFinite(row.low)) {
      drawn.push(svg("line", { class: "point", x1: x(row.estimate), x2: x(row.estimate), y1: 11, y2: 11 }));
    }
    return el("div", { class: "interval " + (row.kind ?? "") }, el("span", { class: "name" }, row.name),
      svg("svg", { viewBox: "0 0 200 22", preserveAspectRatio: "none", role: "img", "aria-label": `${row.name}: ${row.says}` }, drawn), el("span", { class: row.kind ? "" : "quiet" }, row.says));
  });
}

// Stacked columns, one for each day. `days`: [[number of kind 0, number of kind 1, …], …].
export function columns(days, name) {
  const high = 120, step = 100 / Math.max(days.length, 7);
  const most = Math.max(...days.map((day) => day.reduce((sum, one) => sum + one, 0)), 1);
  const drawn = days.flatMap((day, place) => {
    let from = high;
    return day.map((number, kind) => {
      const tall = (number / most) * (high - 4);
      from -= tall;
      return svg("rect", { class: "k" + Math.min(kind, KINDS - 1), x: (place * step + step * 0.12).toFixed(2), width: (step * 0.76).toFixed(2), y: from.toFixed(2), height: tall.toFixed(2) });
    });
  });
  return svg("svg", { class: "days", viewBox: `0 0 100 ${high}`, preserveAspectRatio: "none", role: "img", "aria-label": name }, drawn);
}
