// The upload page with scripts on: the plain form becomes an area with progress, cancel and ingest state.

import { uploadArea } from "/ui/shared/uploader.js";

document.body.classList.add("scripted-page");
uploadArea(document.getElementById("drop"), document.getElementById("uploads"), {
  follow: (asset) => `/v1/assets/${encodeURIComponent(asset)}`,
});
