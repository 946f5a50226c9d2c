// One file by tus 1.0.0 (tus.io): it may be paused, cut off, or left with the browser closed, and goes on where it was.
// Where an unfinished upload is, is kept in localStorage by the file's name, size and time of change.

import { refusal } from "/ui/shared/api.js";

const WHERE = "/v1/tus";
const PIECE = 32 << 20; // bytes a request: a browser reads a refusal only after it has sent them all
const KEPT = "sluice-upload ";
const KEPT_MS = 24 * 3600 * 1000; // the server forgets unfinished uploads after a day
const GONE = [404, 410, 413, 415]; // there is no such upload, or there will never be an asset of it
const WAITS_S = [1, 2, 4, 8, 15, 30];

export class ResumableSender {
  constructor(file, download) {
    this.file = file;
    this.download = download;
    this.key = `${KEPT}${JSON.stringify([file.name, file.size, file.lastModified])}`;
    this.stopped = false;
    this.url = null;
    this.last = false; // whether the last bytes were sent
  }

  /**
   * The new asset's ID; empty when the server has it all and will take it up later. `tell` hears of bytes sent, and
   * of trouble that passes. Throws Refusal, and Error when it was paused or cancelled; may be called again then.
   */
  async run(tell) {
    this.stopped = false;
    this.url = this.recalled();
    for (let failures = 0; ; ) {
      try {
        const asset = await this.go((news) => {
          failures = 0;
          tell(news);
        });
        this.forget();
        return asset;
      } catch (error) {
        if (this.stopped) throw error;
        if (!passes(error)) {
          if (GONE.includes(error.status)) this.forget(); // else what the server has can be gone on with
          throw error;
        }
        const seconds = WAITS_S[Math.min(failures, WAITS_S.length - 1)];
        failures += 1;
        tell({ trouble: `${error.message} Trying again in ${seconds} s.` });
        await this.pause_s(seconds);
      }
    }
  }

  /** Stops sending; what the server has it keeps. */
  pause() {
    this.stopped = true;
    this.call?.abort();
    this.wake?.();
  }

  /** Ends it; the server keeps nothing. */
  async cancel() {
    this.pause();
    const url = this.url ?? this.recalled();
    this.forget();
    if (url) await discard(url);
  }

  async go(tell) {
    const { size } = this.file;
    let at = this.url ? await this.ask() : null;
    if (!at) at = await this.create();
    for (;;) {
      tell({ sent: at.offset, total: size });
      if (at.asset) return at.asset;
      const start = at.offset;
      this.last = start + PIECE >= size;
      const answer = await this.send("PATCH", this.url, {
        body: this.file.slice(start, start + PIECE),
        headers: { "upload-offset": String(start), "content-type": "application/offset+octet-stream" },
        progress: (loaded) => tell({ sent: start + loaded, total: size }),
      });
      at = state(answer);
      if (at.offset === size) {
        tell({ sent: size, total: size });
        return at.asset;
      }
    }
  }

  /** How far the upload is, or null when the server has forgotten it. */
  async ask() {
    try {
      return state(await this.send("HEAD", this.url));
    } catch (error) {
      const refused = error.status === 410 && this.last; // its bytes were all there: sent again, they still are what they are
      if (refused || (error.status !== 404 && error.status !== 410)) throw error;
      this.forget();
      return null;
    }
  }

  async create() {
    const pairs = { filename: this.file.name, filetype: this.file.type, download: this.download };
    const headers = {
      "upload-length": String(this.file.size),
      "upload-metadata": Object.entries(pairs)
        .map(([key, value]) => `${key} ${base64(value)}`.trim())
        .join(","),
    };
    const answer = await this.send("POST", WHERE, { headers });
    this.url = answer.getResponseHeader("location");
    write(this.key, { url: this.url, download: this.download, name: this.file.name, at: Date.now() });
    return { offset: 0, asset: "" };
  }

  send(method, url, { body = null, headers = {}, progress = null } = {}) {
    return new Promise((resolve, reject) => {
      if (this.stopped) throw new Error("Paused.");
      const call = new XMLHttpRequest(); // fetch cannot report upload progress
      this.call = call;
      if (progress) call.upload.addEventListener("progress", (event) => progress(event.loaded));
      call.addEventListener("load", () => {
        if (call.status >= 200 && call.status < 300) resolve(call);
        else reject(refusal(call.status, call.responseText));
      });
      call.addEventListener("error", () => reject(refusal(0, "")));
      call.addEventListener("abort", () => reject(new Error("Paused.")));
      call.open(method, url);
      call.setRequestHeader("tus-resumable", "1.0.0");
      call.setRequestHeader("accept", "application/json");
      for (const [name, value] of Object.entries(headers)) call.setRequestHeader(name, value);
      call.send(body);
    });
  }

  /** Where the file was left; what was to be downloaded otherwise is begun anew. */
  recalled() {
    const kept = read(this.key);
    if (!kept) return null;
    if (kept.download === this.download) return kept.url;
    this.forget();
    discard(kept.url);
    return null;
  }

  forget() {
    this.url = null;
    write(this.key, null);
  }

  async pause_s(seconds) {
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, seconds * 1000);
    });
    if (this.stopped) throw new Error("Paused.");
  }
}

/** The unfinished uploads this browser knows of and the server has: `{key, name, url, offset, length}`. */
export async function unfinished() {
  const found = [];
  for (const key of keptKeys()) {
    const { url, name } = read(key);
    const answer = await fetch(url, { method: "HEAD", headers: { "tus-resumable": "1.0.0" } }).catch(() => null);
    if (answer?.ok) {
      const [offset, length] = ["upload-offset", "upload-length"].map((each) => Number(answer.headers.get(each)));
      if (offset < length) found.push({ key, name, url, offset, length });
    } else if (answer?.status === 404 || answer?.status === 410) write(key, null);
  }
  return found;
}

/** Ends an unfinished upload. */
export async function end({ key, url }) {
  write(key, null);
  await discard(url);
}

function discard(url) {
  return fetch(url, { method: "DELETE", headers: { "tus-resumable": "1.0.0" } }).catch(() => {}); // it expires anyway
}

function state(call) {
  return {
    offset: Number(call.getResponseHeader("upload-offset")),
    asset: call.getResponseHeader("sluice-asset") ?? "",
  };
}

/** Whether trying again may help: no answer, another request at work, trouble of the server. */
function passes({ status }) {
  return status === 0 || status === 408 || status === 409 || status === 423 || status === 429 || (status >= 500 && status !== 507);
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function keptKeys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(KEPT) && read(key));
  } catch {
    return []; // no storage: nothing goes on after the page was closed
  }
}

function read(key) {
  try {
    const kept = JSON.parse(localStorage.getItem(key));
    if (kept && typeof kept.url === "string" && kept.url.startsWith(`${WHERE}/`)) {
      if (Date.now() - kept.at < 7 * KEPT_MS) return kept;
      localStorage.removeItem(key);
    }
  } catch {
    // no storage, or nothing of ours
  }
  return null;
}

function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // no storage
  }
}
