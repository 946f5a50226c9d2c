// One file as multipart/form-data to POST /upload: all at once, or not at all.

import { refusal, request } from "/ui/shared/api.js";

export class FormSender {
  constructor(file, download) {
    this.file = file;
    this.download = download;
    this.stopped = false;
  }

  /** The new asset's ID. `tell` hears of bytes sent. Throws Refusal. */
  async run(tell) {
    // Asked first: a browser reads a refusal only after it has sent the whole file.
    await request("GET", `/v1/uploads?bytes=${this.file.size}`);
    if (this.stopped) throw new Error("Cancelled.");
    return new Promise((resolve, reject) => {
      const form = new FormData();
      form.append("download", this.download);
      form.append("file", this.file);
      const call = new XMLHttpRequest(); // fetch cannot report upload progress
      this.call = call;
      call.upload.addEventListener("progress", (event) => tell({ sent: event.loaded, total: event.total }));
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

  /** Ends it; the server keeps nothing. */
  async cancel() {
    this.stopped = true;
    this.call?.abort();
  }
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
