// Uploads with progress, speed and cancel: one file a request, multipart/form-data to POST /upload, two at a time.

import { refusal, request } from "/ui/shared/api.js";
import { bytes, h, setText, spoken } from "/ui/shared/dom.js";

const PARALLEL = 2;
const FOLLOW_MS = 1000;

/**
 * Makes `drop` (an element with a file input) and `list` (an empty ul) a working upload area.
 * `follow(asset)` answers the URL of an asset's state, to show its ingest until published; leave it out where the
 * page shows assets itself. A select named `download` in `drop` says what viewers may take away. `onAccepted(asset)` is told of each finished upload.
 */
export function uploadArea(drop, list, { follow = null, onAccepted = () => {} } = {}) {
  const waiting = [];
  let running = 0;

  const next = () => {
    while (running < PARALLEL && waiting.length) {
      running += 1;
      waiting.shift()().finally(() => {
        running -= 1;
        next();
      });
    }
  };
  const add = (files) => {
    for (const file of files) {
      const row = new Row(file, list, drop.querySelector('select[name="download"]')?.value ?? "");
      waiting.push(async () => {
        const asset = await row.run();
        if (!asset) return;
        onAccepted(asset);
        row.follow(follow?.(asset)); // not awaited: the next upload need not wait for this one's ingest
      });
    }
    next();
  };

  const input = drop.querySelector('input[type="file"]');
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  let depth = 0; // dragenter and dragleave also fire for children
  const mark = (step) => {
    depth = Math.max(0, depth + step);
    drop.classList.toggle("over", depth > 0);
  };
  drop.addEventListener("dragenter", () => mark(1));
  drop.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // a film dropped beside the area must not replace the page
    mark(-depth);
    if (event.dataTransfer) add(event.dataTransfer.files);
  });
  window.addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault();
  });
}

class Row {
  constructor(file, list, download) {
    this.file = file;
    this.download = download;
    this.cancelled = false;
    this.bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
    this.status = h("div", { class: "status number" }, `${bytes(file.size)} · waiting`);
    this.button = h("button", { type: "button", class: "small", onClick: () => this.stop() }, "Cancel");
    this.button.setAttribute("aria-label", `Cancel ${file.name}`);
    this.live = h("div", { class: "visually-hidden", role: "status" });
    this.row = h("li", {}, h("div", { class: "name" }, file.name), this.button, this.bar, this.status, this.live);
    list.append(this.row);
  }

  /** Uploads the file; the asset's ID, or null when there is none. */
  async run() {
    if (this.cancelled) return null;
    try {
      // Asked first: a browser reads a refusal only after it has sent the whole file.
      await request("GET", `/v1/uploads?bytes=${this.file.size}`);
      return this.cancelled ? null : await this.send();
    } catch (error) {
      if (!this.cancelled) this.end("failed", error.message);
      return null;
    }
  }

  /** Shows the ingest of the asset at `url` to its end; without a URL, says that it goes on elsewhere. */
  async follow(url) {
    if (!url) return this.end("done", "Uploaded. It is being prepared now.", 4000);
    this.asset = url;
    try {
      await this.watch(url);
    } catch (error) {
      this.end("failed", error.message);
    }
  }

  send() {
    return new Promise((resolve, reject) => {
      const form = new FormData();
      form.append("download", this.download);
      form.append("file", this.file);
      const call = new XMLHttpRequest(); // fetch cannot report upload progress
      this.call = call;
      const started = performance.now();
      call.upload.addEventListener("progress", (event) => this.progress(event.loaded, event.total, started));
      call.addEventListener("load", () => {
        const answer = call.status === 201 ? JSON.parse(call.responseText).uploads[0] : null;
        if (answer) resolve(answer.asset);
        else reject(uploadRefusal(call));
      });
      call.addEventListener("error", () => reject(refusal(0, "")));
      call.addEventListener("abort", () => reject(new Error("Cancelled.")));
      call.open("POST", "/upload");
      call.setRequestHeader("accept", "application/json");
      call.send(form);
    });
  }

  progress(loaded, total, started) {
    const seconds = Math.max(0.001, (performance.now() - started) / 1000);
    const speed = loaded / seconds;
    this.bar.value = total ? loaded / total : 0;
    const left = total > loaded ? `${spoken((total - loaded) / speed)} left` : "checking the file";
    setText(this.status, `${bytes(loaded)} of ${bytes(total)} · ${bytes(speed)}/s · ${left}`);
  }

  async watch(url) {
    this.bar.setAttribute("aria-label", `Preparation of ${this.file.name}`);
    for (;;) {
      const asset = await request("GET", url).catch((error) => {
        if (error.status !== 0) throw error;
        setText(this.status, error.message); // ingest goes on without us: ask again
      });
      if (asset) this.bar.value = asset.progress ?? 0;
      if (asset?.state === "published") return this.end("done", `Published as ${asset.id}.`);
      if (asset?.state === "failed") throw new Error(asset.error || "It could not be prepared.");
      if (asset?.state === "cancelled") throw new Error("Cancelled.");
      if (asset) setText(this.status, ingestLine(asset));
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    }
  }

  async stop() {
    if (this.asset) {
      this.button.disabled = true;
      await request("POST", `${this.asset}/cancel`).catch((error) => setText(this.status, error.message));
      this.button.disabled = false;
      return;
    }
    this.cancelled = true;
    this.call?.abort();
    this.end("", "Cancelled. Nothing was kept.", 4000);
  }

  end(state, sentence, vanish = 0) {
    this.row.className = state;
    this.bar.hidden = true;
    setText(this.status, sentence);
    setText(this.live, `${this.file.name}: ${sentence}`);
    this.button.replaceWith(
      h("button", { type: "button", class: "small quiet", onClick: () => this.row.remove() }, "Dismiss"),
    );
    if (vanish) setTimeout(() => this.row.remove(), vanish);
  }
}

/** "Preparing · 42 % · 3.1× real time · 2 min left". */
export function ingestLine(asset) {
  if (asset.state === "queued") return "Waiting for its turn to be prepared";
  const parts = ["Preparing", `${Math.floor((asset.progress ?? 0) * 100)} %`];
  if (asset.rate) parts.push(`${asset.rate.toFixed(1)}× real time`);
  if (asset.eta_s !== null && asset.eta_s !== undefined) parts.push(`${spoken(asset.eta_s)} left`);
  return parts.join(" · ");
}

function uploadRefusal(call) {
  try {
    const first = JSON.parse(call.responseText).uploads?.[0];
    if (first) return new Error(first.message);
  } catch {
    // not the list of uploads: a problem, or nothing
  }
  return refusal(call.status, call.responseText);
}
