// The table of live sessions, and taking one back: the session, its link, or everything of its viewer.

import { revokeDialog } from "/ui/revoke.js";
import { bytes, clock, h, keyed, setText, spoken } from "/ui/shared/dom.js";

const WATCHING_S = 20; // a player fetches at least this often while it plays
const RIPPER = { log: "Ripper", slow: "Ripper, slowed", revoke: "Ripper, ended", lifted: "Ripper, let be" }; // by what was done
const SIGNALS = {
  ahead: "far ahead of the clock",
  parallel: "many requests at once",
  renditions: "every quality",
  sessions: "many sessions at once",
  apart: "from many places at once",
  unbroken: "never a seek",
};
const STATES = { revoked: ["bad", "Revoked"], expired: ["", "Over"], over: ["", "Over"] };

export function renderSessions(sessions, assets, now, refresh) {
  if (!sessions) return; // keys is away: keep what was shown
  const wanted = document.getElementById("session-filter").value.trim().toLowerCase();
  const shown = sessions.filter((one) => (one.viewer || "").toLowerCase().includes(wanted));
  const titles = new Map((assets ?? []).map((asset) => [asset.id, asset.title]));
  // Newest first, and so each stays where it is: by last seen, rows would change places under the pointer.
  const ordered = [...shown].sort((a, b) => b.opened - a.opened || (a.sid < b.sid ? -1 : 1));
  keyed(document.getElementById("session-rows"), ordered, (one) => one.sid, () => row(refresh));
  for (const element of document.getElementById("session-rows").children) element.place(titles, now);
  document.getElementById("session-table").hidden = sessions.length === 0;
  document.getElementById("no-sessions").hidden = sessions.length > 0;
  const live = sessions.filter((one) => !STATES[one.state]).length;
  const count = document.getElementById("session-count");
  count.hidden = live === 0;
  setText(count, String(live));
  const viewers = new Set(sessions.filter((one) => one.viewer).map((one) => one.viewer)).size;
  const named = viewers ? ` · ${viewers} named ${viewers === 1 ? "viewer" : "viewers"}` : "";
  setText(document.getElementById("sessions-sum"), sessions.length ? `${live} live${named}` : "");
}

function row(refresh) {
  let session = null;
  const viewer = h("span", { class: "viewer cut" });
  const link = h("span", { class: "sub mono" });
  const film = h("span");
  const edge = h("span", { class: "sub" });
  const state = h("span");
  const ripper = h("span");
  const cells = Object.fromEntries(["from", "since", "seen", "media", "sent"].map((name) => [name, h("span", { class: name === "from" ? "cut" : "" })]));
  const revoke = h(
    "button",
    { type: "button", class: "small danger", onClick: () => revokeDialog(session, refresh) },
    "Revoke",
  );
  const element = h(
    "tr",
    {},
    h("td", { class: "wide" }, viewer, link),
    h("td", { class: "wide", "data-label": "Film" }, film, edge),
    h("td", { class: "mono", "data-label": "From" }, cells.from),
    h("td", { class: "number", "data-label": "Since" }, cells.since),
    h("td", { class: "number", "data-label": "Last seen" }, cells.seen),
    h("td", { class: "number right", "data-label": "Media" }, cells.media),
    h("td", { class: "number right", "data-label": "Sent" }, cells.sent),
    h("td", { class: "states", "data-label": "State" }, state, ripper),
    h("td", { class: "wide right" }, revoke),
  );
  element.update = (next) => {
    session = next;
  };
  element.place = (titles, now) => {
    const name = session.viewer || "Anonymous";
    setText(viewer, name);
    viewer.title = name;
    setText(link, session.lid ? `link ${session.lid.slice(0, 10)}…` : "");
    link.title = session.lid || "";
    setText(film, titles.get(session.asset) || session.asset);
    setText(edge, session.edge ? `by ${session.edge}` : "");
    setText(cells.from, session.client_ip || "–");
    cells.from.title = session.client_ip || "";
    setText(cells.since, `${spoken(now - session.opened)} ago`);
    cells.since.title = new Date(session.opened * 1000).toLocaleString();
    const idle = session.last_seen ? now - session.last_seen : null;
    setText(cells.seen, idle === null ? "–" : idle < 3 ? "now" : `${spoken(idle)} ago`);
    setText(cells.media, clock(session.media_s));
    setText(cells.sent, bytes(session.bytes));
    const watching = idle !== null && idle < WATCHING_S;
    const [kind, word] = STATES[session.state] ?? (watching ? ["ok", "Watching"] : ["", "Idle"]);
    state.className = `pill ${kind}`;
    setText(state, word);
    showRipper(ripper, session.ripper);
    element.className = STATES[session.state] ? "over" : "";
    revoke.disabled = Boolean(STATES[session.state]);
    revoke.setAttribute("aria-label", `Revoke: ${name}, ${film.textContent}`);
  };
  return element;
}

/** A badge for a viewer who reached the site's score; below it the bare number, and why in both. */
function showRipper(element, { score, signals, acted }) {
  element.hidden = !acted && !score;
  element.className = acted ? "pill warn" : "sub";
  setText(element, acted ? `${RIPPER[acted] ?? "Ripper"} · ${score}` : `score ${score}`);
  element.title = Object.entries(signals).map(([name, points]) => `${SIGNALS[name] ?? name}: ${points}`).join("\n");
}
