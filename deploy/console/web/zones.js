// Zones: what each is asked for, where its answers come from, how its origins are, what is asked for most.

import { purgeDialog } from "/ui/purge.js";
import { bytes, h, keyed, setText } from "/ui/shared/dom.js";

const LEVELS = [
  ["memory_share", "memory", "from memory"],
  ["l2_share", "redis", "from Redis"],
  ["shared_share", "shared", "shared with a request under way"],
  ["origin_share", "origin", "asked of the origin"],
];
const STATES = { ready: ["ok", "well"], resting: ["warn", "resting"], away: ["bad", "away"] };
const NONE = "-"; // what no zone was found for

export function renderZones(zones) {
  const named = zones.filter((one) => one.zone !== NONE);
  keyed(document.getElementById("zone-cards"), named, (one) => one.zone, card);
  document.getElementById("no-zones").hidden = named.length > 0;
  const stray = zones.find((one) => one.zone === NONE)?.requests ?? 0;
  const sum = named.reduce((all, one) => all + (one.requests_per_s ?? 0), 0);
  const rated = named.some((one) => one.requests_per_s !== null);
  const words = [rated ? `${count(sum)} requests/s now` : "", named.length ? "all else since the start" : "", stray ? `${count(stray)} requests for no zone` : ""];
  setText(document.getElementById("zones-sum"), words.filter(Boolean).join(" · "));
  document.getElementById("zone-names").replaceChildren(...named.map((one) => h("option", { value: one.zone })));
}

const NUMBERS = [
  ["Requests", (one) => rate(one.requests_per_s), (one) => `${count(one.requests)} in all`],
  ["Sent", (one) => (one.bytes_per_s === null ? "–" : `${bytes(one.bytes_per_s)}/s`), (one) => `${bytes(one.origin_bytes)} from the origin`],
  ["Origin requests", (one) => count(one.origin_requests), (one) => `for ${count(one.misses)} answers`],
  ["Origin begins within", (one) => time(one.origin_p50_s), (one) => `95 %: ${time(one.origin_p95_s)}`],
  ["Errors", (one) => count(one.failed), (one) => `origin ${count(one.origin_errors + one.unavailable)} · refused ${count(one.refused)}`],
  ["In memory", (one) => bytes(one.memory_bytes), (one) => (one.stale_after_error ? `${count(one.stale_after_error)} stale for errors` : "")],
];

function card(zone) {
  const [access, origins] = [h("span", { class: "muted small" }), h("ul", { class: "origins", "aria-label": "Origins" })];
  const levels = LEVELS.map(([name, kind, text]) => {
    const [part, share] = [h("span", { class: kind }), h("b", { class: "number" })];
    return { name, part, share, item: h("li", { class: kind }, share, ` ${text}`) };
  });
  const bar = h("div", { class: "levels", role: "img" }, levels.map((one) => one.part));
  const numbers = NUMBERS.map(([label, main, under]) => {
    const [value, sub] = [h("dd", { class: "number" }), h("dd", { class: "sub number" })];
    return { main, under, value, sub, item: h("div", {}, h("dt", {}, label), value, sub) };
  });
  const tops = [top("requests", "Asked for most", (weight) => count(weight)), top("bytes", "Most bytes", bytes)];
  const element = h(
    "li",
    { class: "panel zone" },
    h("div", { class: "zone-head" }, h("h2", {}, zone.zone), access, origins,
      h("button", { type: "button", class: "small", "aria-label": `Purge in ${zone.zone}`, onClick: () => purgeDialog(zone.zone) }, "Purge")),
    bar,
    h("ul", { class: "legend" }, levels.map((one) => one.item)),
    h("dl", { class: "numbers" }, numbers.map((one) => one.item)),
    h("div", { class: "tops" }, tops.map((one) => one.element)),
  );
  element.update = (now) => {
    setText(access, now.told?.access ?? "");
    keyed(origins, Object.entries(now.told?.origins ?? {}), ([url]) => url, origin);
    for (const { name, part, share } of levels) {
      part.style.flexGrow = now[name] ?? 0;
      part.hidden = !now[name];
      setText(share, percent(now[name]));
    }
    bar.setAttribute("aria-label", LEVELS.map(([name, , text]) => `${percent(now[name])} ${text}`).join(", "));
    for (const { main, under, value, sub } of numbers) {
      setText(value, main(now));
      setText(sub, under(now));
    }
    for (const one of tops) one.update(now.told);
  };
  return element;
}

function origin() {
  const state = h("span");
  const element = h("li", {}, state);
  element.update = ([url, said]) => {
    const [kind, word] = STATES[said] ?? ["", said];
    state.className = `pill ${kind}`;
    setText(state, `${url.replace(/^https?:\/\//, "")} ${word}`);
    state.title = url;
  };
  return element;
}

/** What weighs most of a zone in the last minutes: a name, how much, and its share as a bar behind it. */
function top(kind, title, told) {
  const list = h("ol", {});
  const none = h("p", { class: "muted small" }, "Nothing in the last minutes");
  const element = h("div", {}, h("h3", {}, title), list, none);
  const row = () => {
    const [name, weight] = [h("span", { class: "name mono" }), h("span", { class: "number" })];
    const item = h("li", {}, name, weight);
    item.update = ([path, least, , share]) => {
      setText(name, path);
      name.title = path;
      setText(weight, told(least));
      item.style.setProperty("--share", `${100 * share}%`);
    };
    return item;
  };
  return {
    element,
    update(said) {
      const { total, objects } = said?.[kind] ?? { total: 0, objects: [] };
      keyed(list, objects.map((one) => [...one, total ? one[1] / total : 0]), ([path]) => path, row);
      none.hidden = objects.length > 0;
    },
  };
}

function rate(perSecond) {
  return perSecond === null ? "–" : `${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))}/s`;
}

function count(value) {
  return value === null ? "–" : Math.round(value).toLocaleString("en");
}

function percent(share) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`;
}

function time(seconds) {
  if (seconds === null) return "–";
  return seconds < 0.01 ? `${(1000 * seconds).toFixed(1)} ms` : seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`;
}
