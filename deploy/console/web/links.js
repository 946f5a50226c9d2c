// "Make a link": to what, how long it may be opened, how long a session lasts, for whom, once or often, at which edge.

import { closeButton, copyField, openDialog } from "/ui/dialogs.js";
import { request } from "/ui/shared/api.js";
import { bytes, h } from "/ui/shared/dom.js";

const MINUTE = 60;
const HOUR = 3600;
const START = [["15 minutes", 15 * MINUTE], ["2 hours", 2 * HOUR], ["1 day", 24 * HOUR], ["7 days", 168 * HOUR]];
const LENGTH = [["1 hour", HOUR], ["3 hours", 3 * HOUR], ["6 hours", 6 * HOUR], ["12 hours", 12 * HOUR]];

export function makeLink(asset, edges) {
  const files = (asset.downloads ?? []).map((file) => {
    const encrypted = file.protection === "ece";
    return [`Download: ${file.name} (${bytes(file.size)}${encrypted ? ", encrypted" : ""})`, (encrypted ? "ece/" : "") + file.name];
  });
  const what = choice("what", [["The stream, for any player", ""], ...files], "");
  const start = choice("start", START, 2 * HOUR);
  const length = choice("length", LENGTH, 6 * HOUR);
  const viewer = h("input", { type: "text", id: "viewer", maxLength: 128, autocomplete: "off", placeholder: "nobody in particular" });
  const streams = choice("streams", [["as the site allows", ""], ...[1, 2, 3, 4, 5].map((n) => [String(n), n])], "");
  const once = h("input", { type: "checkbox", id: "once" });
  const edge = choice("edge", edges.map((url) => [url, url]), edges[0]);
  const error = h("p", { class: "note bad", role: "alert", hidden: true });
  const submit = h("button", { class: "primary" }, "Make the link");
  const form = h(
    "form",
    {},
    files.length ? field("Link to", what) : null,
    h("div", { class: "pair" }, field("Can be opened for", start), field("A session lasts", length)),
    h("div", { class: "pair" }, field("Viewer (optional)", viewer), field("Devices at once", streams)),
    edges.length > 1 ? field("Edge", edge) : null,
    h("label", { class: "choice", htmlFor: "once" }, once, "Opens only one session"),
    error,
    h("div", { class: "buttons" }, closeButton(), submit),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const made = await request("POST", "/api/links", {
        asset: asset.id,
        start_within_s: Number(start.value),
        session_s: Number(length.value),
        viewer: viewer.value.trim() || null,
        once: once.checked,
        streams: Number(streams.value) || null,
        edge: edge.value,
        download: what.value || null,
      });
      showLink(asset, made, { file: Boolean(what.value), once: once.checked, within: start.selectedOptions[0].textContent });
    } catch (refused) {
      error.hidden = false;
      error.textContent = refused.message;
    }
    submit.disabled = false;
  });
  openDialog(`Link to ${asset.title || asset.id}`, form);
}

function showLink(asset, made, { file, once, within }) {
  openDialog(
    `Link to ${asset.title || asset.id}`,
    h("p", { class: "muted" }, `It can be opened for ${within}${once ? ", by one session only" : ""}. Whoever has it can ${file ? "download the file" : "watch"}, so send it as you would a key.`),
    copyField(file ? "Download page" : "Player page", made.watch, "watch-link"),
    copyField(file ? "Signed link for curl and sluice fetch" : "Signed link for players (VLC, ffmpeg, hls.js)", made.link, "signed-link"),
    h("div", { class: "buttons" }, closeButton("Done"),
      h("a", { class: "button primary", href: made.watch, target: "_blank", rel: "noopener noreferrer" }, file ? "Open the download page" : "Open the player")),
  );
}

function choice(id, options, selected) {
  return h("select", { id }, options.map(([text, value]) => h("option", { value, selected: value === selected }, text)));
}

function field(text, control) {
  return h("div", { class: "field" }, h("label", { htmlFor: control.id }, text), control);
}
