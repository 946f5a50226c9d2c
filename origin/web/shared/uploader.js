// Uploads with progress, speed, cancel and, where they are resumable, pause: two at a time.

import { request } from "/ui/shared/api.js";
import { bytes, h, setText, spoken } from "/ui/shared/dom.js";
import { FormSender } from "/ui/shared/form.js";
import { ResumableSender, end, unfinished } from "/ui/shared/resumable.js";

const PARALLEL = 2;
const FOLLOW_MS = 1000;

/**
 * Makes `drop` (an element with a file input) and `list` (an empty ul) a working upload area.
 * `follow(asset)` answers the URL of an asset's state, to show its ingest until published; leave it out where the
 * page shows assets itself. A select named `download` in `drop` says what viewers may take away. `onAccepted(asset)` is told of each finished upload.
 * `resumable`: by tus, with what was left unfinished shown first; else by the form.
 */
export function uploadArea(drop, list, { follow = null, onAccepted = () => {}, resumable = false } = {}) {
  const Sender = resumable ? ResumableSender : FormSender;
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
      const sender = new Sender(file, drop.querySelector('select[name="download"]')?.value ?? "");
      for (const left of list.querySelectorAll(".left")) if (left.dataset.key === sender.key) left.remove();
      const row = new Row(file, list, sender, () => {
        waiting.push(work);
        next();
      });
      const work = async () => {
        const asset = await row.run();
        if (asset === null) return;
        onAccepted(asset);
        row.follow(asset ? follow?.(asset) : null); // not awaited: the next upload need not wait for its ingest
      };
      waiting.push(work);
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
    if (running && !resumable) event.preventDefault();
  });
  if (resumable) showUnfinished(list);
}

/** A row for each upload that an earlier visit left: the file must be chosen again, no page may open it by itself. */
async function showUnfinished(list) {
  for (const left of await unfinished()) {
    if ([...list.children].some((row) => row.dataset.key === left.key)) continue;
    const share = Math.floor((100 * left.offset) / left.length);
    const button = h("button", { type: "button", class: "small quiet" }, "Discard");
    button.setAttribute("aria-label", `Discard ${left.name}`);
    const row = h(
      "li",
      { class: "left", "data-key": left.key },
      h("div", { class: "name" }, left.name),
      h("div", { class: "actions" }, button),
      h("progress", { max: 1, value: left.offset / left.length, "aria-label": `Upload of ${left.name}` }),
      h("div", { class: "status" }, `${share} % of ${bytes(left.length)} is here. Choose the same file to go on.`),
    );
    button.addEventListener("click", async () => {
      row.remove();
      await end(left);
    });
    list.prepend(row);
  }
}

class Row {
  /** `again` puts the row's upload at the end of those that wait. */
  constructor(file, list, sender, again) {
    this.file = file;
    this.sender = sender;
    this.again = again;
    this.state = "waiting"; // then running ⇄ paused, ended
    this.bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
    this.status = h("div", { class: "status number" }, `${bytes(file.size)} · waiting`);
    this.pauser = this.action("Pause", () => this.pause());
    this.button = this.action("Cancel", () => this.stop());
    this.pauser.hidden = !sender.pause;
    this.live = h("div", { class: "visually-hidden", role: "status" });
    const actions = h("div", { class: "actions" }, this.pauser, this.button);
    this.row = h("li", {}, h("div", { class: "name" }, file.name), actions, this.bar, this.status, this.live);
    if (sender.key) this.row.dataset.key = sender.key;
    list.append(this.row);
  }

  action(name, onClick) {
    const button = h("button", { type: "button", class: "small", onClick }, name);
    button.setAttribute("aria-label", `${name} ${this.file.name}`);
    return button;
  }

  /** Uploads the file; the asset's ID (empty: it will get one later), or null when there is none. */
  async run() {
    if (this.state !== "waiting") return null;
    this.state = "running";
    const from = { at: performance.now(), sent: null };
    try {
      return await this.sender.run((news) => this.told(news, from));
    } catch (error) {
      if (this.state === "running") this.end("failed", error.message);
      return null;
    }
  }

  /** Pauses what waits or runs; lets what is paused go on. */
  pause() {
    const paused = this.state === "paused";
    this.label(this.pauser, paused ? "Pause" : "Resume");
    this.state = paused ? "waiting" : "paused";
    setText(this.status, paused ? `${bytes(this.file.size)} · waiting` : "Paused. You may close this page and go on later.");
    if (paused) this.again();
    else this.sender.pause();
  }

  label(button, name) {
    setText(button, name);
    button.setAttribute("aria-label", `${name} ${this.file.name}`);
  }

  /** Shows the ingest of the asset at `url` to its end; without a URL, says that it goes on elsewhere. */
  async follow(url) {
    this.pauser.hidden = true;
    if (!url) return this.end("done", "Uploaded. It is being prepared now.", 4000);
    this.asset = url;
    try {
      await this.watch(url);
    } catch (error) {
      this.end("failed", error.message);
    }
  }

  told({ sent, total, trouble }, from) {
    if (this.state !== "running") return;
    if (trouble) return setText(this.status, trouble);
    from.sent ??= sent; // what an earlier run sent says nothing of today's speed
    const seconds = Math.max(0.001, (performance.now() - from.at) / 1000);
    const speed = (sent - from.sent) / seconds;
    this.bar.value = total ? sent / total : 0;
    const left = total > sent ? (speed ? `${spoken((total - sent) / speed)} left` : "starting") : "checking the file";
    setText(this.status, `${bytes(sent)} of ${bytes(total)} · ${bytes(speed)}/s · ${left}`);
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
    this.end("", "Cancelled. Nothing was kept.", 4000);
    await this.sender.cancel();
  }

  end(state, sentence, vanish = 0) {
    this.state = "ended";
    this.row.className = state;
    this.bar.hidden = true;
    this.pauser.hidden = true;
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
