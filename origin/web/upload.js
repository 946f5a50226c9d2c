// The upload page with scripts on: the plain form becomes an area of resumable uploads with their ingest state.

import { h } from "/ui/shared/dom.js";
import { uploadArea } from "/ui/shared/uploader.js";

document.body.classList.add("scripted-page");
const files = document.getElementById("files");
const button = h("label", { class: "button primary file-button" }, "Choose files");
files.replaceWith(button);
button.append(files);
uploadArea(document.getElementById("drop"), document.getElementById("uploads"), {
  follow: (asset) => `/v1/assets/${encodeURIComponent(asset)}`,
  resumable: true,
});
