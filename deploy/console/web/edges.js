// The table of edges: what each serves, where its bytes come from, and whether a balancer may send it new viewers.

import { bytes, h, keyed, setText } from "/ui/shared/dom.js";

const NEW = { ok: ["ok", "Takes new sessions"], limited: ["warn", "No new sessions"], unable: ["bad", "Serves nobody"] };

export function renderEdges(edges) {
  const rows = document.getElementById("edge-rows");
  keyed(rows, edges, (one) => one.address, row);
  document.getElementById("edge-table").hidden = edges.length === 0;
  const out = edges.reduce((sum, one) => sum + (one.bytes_per_s ?? 0), 0);
  setText(document.getElementById("edges-sum"), edges.some((one) => one.bytes_per_s !== null) ? `${bits(out)} out now · all else since the start` : "");
}

const COLUMNS = [
  ["Workers", (one) => (one.workers === null ? "–" : `${one.workers} of ${one.workers_wanted}`)],
  ["Sessions", (one) => count(one.sessions)],
  ["Out", (one) => bits(one.bytes_per_s)],
  ["Hits", (one) => (one.hit_ratio === null ? "–" : `${(100 * one.hit_ratio).toFixed(1)} %`)],
  ["First byte", (one) => time(one.first_byte_p50_s), (one) => `99 %: ${time(one.first_byte_p99_s)}`],
  ["Origin requests", (one) => count(one.origin_requests)],
  ["Errors", (one) => count(one.failed), (one) => `${count(one.refused)} refused`],
];

function row() {
  const address = h("span", { class: "viewer" });
  const wrong = h("span", { class: "sub" });
  const state = h("span");
  const cells = COLUMNS.map(([label, main, under]) => {
    const [value, sub] = [h("span"), under ? h("span", { class: "sub" }) : null];
    return { main, under, value, sub, cell: h("td", { class: "number right", "data-label": label }, value, sub) };
  });
  const element = h(
    "tr",
    {},
    h("td", { class: "wide" }, address, wrong),
    h("td", { class: "wide" }, state),
    ...cells.map((one) => one.cell),
  );
  element.update = (edge) => {
    setText(address, edge.address.replace(/^https?:\/\//, ""));
    address.title = edge.address;
    setText(wrong, edge.wrong.join(" · "));
    const [kind, word] = NEW[edge.status] ?? ["bad", "No answer"];
    state.className = `pill ${kind}`;
    setText(state, word);
    for (const { main, under, value, sub } of cells) {
      setText(value, main(edge));
      if (sub) {
        setText(sub, under(edge));
        sub.hidden = edge.workers === null;
      }
    }
  };
  return element;
}

/** 1250000 bytes a second → "10 Mbit/s". */
function bits(perSecond) {
  return perSecond === null ? "–" : `${bytes(8 * perSecond).replace("bytes", "bit").replace("B", "bit")}/s`;
}

function count(value) {
  return value === null ? "–" : value.toLocaleString("en");
}

function time(seconds) {
  if (seconds === null) return "–";
  return seconds < 0.01 ? `${(1000 * seconds).toFixed(1)} ms` : seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`;
}
