// The library: one card for each asset, kept in step with its state.

import { confirmed, toast } from "/ui/dialogs.js";
import { makeLink } from "/ui/links.js";
import { request } from "/ui/shared/api.js";
import { bytes, clock, h, keyed, setText } from "/ui/shared/dom.js";
import { ingestLine } from "/ui/shared/uploader.js";

const STATES = {
  uploading: ["busy", "Uploading"],
  queued: ["busy", "Queued"],
  ingesting: ["busy", "Preparing"],
  published: ["ok", "Published"],
  failed: ["bad", "Failed"],
  cancelled: ["warn", "Cancelled"],
};
const BUSY = new Set(["uploading", "queued", "ingesting"]);

export function renderAssets(assets, edges, refresh) {
  if (!assets) return; // the origin is away: keep what was shown
  keyed(document.getElementById("cards"), assets, (asset) => asset.id, () => card(edges, refresh));
  document.getElementById("no-assets").hidden = assets.length > 0;
  const stored = assets.reduce((sum, asset) => sum + (asset.bytes || 0), 0);
  const films = assets.length === 1 ? "1 film" : `${assets.length} films`;
  setText(document.getElementById("library-sum"), assets.length ? [films, stored ? `${bytes(stored)} stored` : ""].filter(Boolean).join(" · ") : "");
}

function card(edges, refresh) {
  let asset = null;
  const act = (work, said) => async (event) => {
    event.currentTarget.disabled = true;
    const button = event.currentTarget;
    try {
      if ((await work()) !== false && said) toast(said());
    } catch (error) {
      toast(error.message, "bad");
    }
    button.disabled = false;
    refresh();
  };
  const path = (rest = "") => `/api/assets/${encodeURIComponent(asset.id)}${rest}`;

  const poster = h("img", { alt: "", loading: "lazy", src: "/ui/shared/film.svg" });
  poster.addEventListener("error", () => poster.setAttribute("src", "/ui/shared/film.svg"));
  const time = h("span", { class: "time number" });
  const title = h("h2");
  const pill = h("span");
  const facts = h("p", { class: "muted small number" });
  const ladder = h("ul", { class: "ladder", "aria-label": "Renditions" });
  const bar = h("progress", { max: 1, "aria-label": "Preparation" });
  const line = h("p", { class: "small muted number" });
  const error = h("p", { class: "error" });

  const link = h("button", { type: "button", class: "primary small", onClick: () => makeLink(asset, edges) }, "Make a link");
  const cancel = button("Cancel", () => request("POST", path("/cancel")), () => `Cancelled ${asset.title}.`);
  const retry = button("Try again", () => request("POST", path("/retry")));
  const remove = button("Delete", removeAsset, () => `Deleted ${asset.title}.`);
  remove.classList.add("danger");
  function button(text, work, said) {
    return h("button", { type: "button", class: "small", onClick: act(work, said) }, text);
  }
  async function removeAsset() {
    const sure = await confirmed({
      title: `Delete ${asset.title}?`,
      text: "Its files and keys are deleted for good, its links stop working, and running sessions end.",
      action: "Delete",
    });
    return sure ? request("DELETE", path()) : false;
  }

  const element = h(
    "li",
    { class: "asset panel" },
    h("div", { class: "poster" }, poster, time),
    h("div", { class: "body" }, h("div", { class: "head" }, title, pill), facts, ladder, bar, line, error,
      h("div", { class: "actions" }, link, cancel, retry, remove)),
  );
  element.update = (next) => {
    asset = next;
    const busy = BUSY.has(asset.state);
    const published = asset.state === "published";
    const [kind, word] = STATES[asset.state] ?? ["", asset.state];
    setText(title, asset.title || asset.id);
    pill.className = `pill ${kind}`;
    setText(pill, word);
    time.hidden = !asset.duration;
    setText(time, clock(asset.duration));
    setText(facts, [asset.id, size(asset), asset.bytes ? bytes(asset.bytes) : ""].filter(Boolean).join(" · "));
    const rungs = published ? asset.renditions.map(rungName) : [];
    ladder.hidden = !rungs.length;
    keyed(ladder, rungs, (rung) => rung, rungItem);
    bar.hidden = line.hidden = !busy;
    if (busy) {
      bar.value = asset.progress ?? 0;
      setText(line, asset.state === "uploading" ? "Uploading" : ingestLine(asset));
    }
    error.hidden = !asset.error || busy || published;
    setText(error, asset.error || "");
    link.hidden = !published;
    cancel.hidden = !busy;
    retry.hidden = !["failed", "cancelled"].includes(asset.state);
    remove.hidden = busy;
    [link, cancel, retry, remove].forEach((each) => label(each, asset));
    showPoster(poster, published ? path(`/poster.jpg?generation=${asset.generation}`) : null);
  };
  return element;
}

function rungItem(rung) {
  const item = h("li", {}, rung);
  item.update = () => {};
  return item;
}

function rungName(rendition) {
  return typeof rendition === "string" ? rendition : rendition.name || rendition.id;
}

function size(asset) {
  return asset.width && asset.height ? `${asset.width} × ${asset.height}` : asset.state === "published" ? "Sound only" : "";
}

function label(button, asset) {
  button.setAttribute("aria-label", `${button.textContent}: ${asset.title || asset.id}`);
}

function showPoster(image, source) {
  if (!source || image.dataset.source === source) return;
  image.dataset.source = source; // asked for once: a film without a picture keeps the drawing
  image.setAttribute("src", source);
}
