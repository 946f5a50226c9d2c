// One protected download on its way to the disk: a stream of its plain bytes for the browser's own download manager,
// which takes them as fast as it writes. At any time one record is in memory, and few wait.
//
// States: waiting (for the browser to ask), running, trying (the line broke), paused, and the ends: done, failed,
// cancelled. A stream that is not done ends in an error, never early: the browser then keeps no file.

import { BadCoding, opener, placeOf } from "./ece.js";
import { collect, free } from "./memory.js";
import { Broken, Refused, Source } from "./source.js";

const WAITING_RECORDS = 4;
const PASSED_RECORDS = 2 * WAITING_RECORDS; // of those passed on, so many may still be on their way
const TRIES = 6; // on a row without a record; then it pauses, and the viewer says when to go on
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const TELL_MS = 250;
const ALIVE_MS = 2000; // who is told answers, and the answer keeps this worker alive (worker.js)
const ENDS = new Set(["done", "failed", "cancelled"]);

export class Saving {
  #form; #name; #secret; #tell; #source; #open; #sealed; #controller; #ticking;
  #number = 0; #sent = 0; #tries = 0; #told = 0; #code = ""; #wake = () => {};
  #passed = [];
  state = "waiting";

  // `form` is what ece.readForm found, `secret` the key; `tell` hears {state, sent, size, code} now and then.
  constructor({ url, form, secret, name }, tell) {
    this.#form = form;
    this.#name = name;
    this.#secret = secret;
    this.#tell = tell;
    this.#source = new Source(url, form.coded);
    this.#sealed = new Uint8Array(Math.min(form.record, form.coded));
  }

  get ended() {
    return ENDS.has(this.state);
  }

  // What the browser saves. Octets, whatever the file is: nothing of it may ever be shown at this address.
  answer() {
    this.#ticking = setInterval(() => this.tell(), ALIVE_MS);
    this.#become("running");
    const stream = new ReadableStream({
      start: (controller) => { this.#controller = controller; },
      pull: () => this.#next(),
      cancel: () => this.#end("cancelled"),
    }, { highWaterMark: WAITING_RECORDS });
    const name = encodeURIComponent(this.#name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
    return new Response(stream, { headers: {
      "Content-Type": "application/octet-stream",
      "Content-Length": String(this.#form.size),
      "Content-Disposition": `attachment; filename*=UTF-8''${name}`,
      "X-Content-Type-Options": "nosniff",
    } });
  }

  pause(code = "") {
    if (this.state !== "running" && this.state !== "trying") return;
    this.#become("paused", code);
    this.#source.stop();
    this.#wake();
  }

  resume() {
    if (this.state !== "paused" && this.state !== "trying") return;
    this.#tries = 0;
    this.#become("running");
    this.#wake();
  }

  // Ends it without a file.
  cancel() {
    this.#end("cancelled");
  }

  tell() {
    this.#told = Date.now();
    this.#tell({ state: this.state, sent: this.#sent, size: this.#form.size, code: this.#code });
  }

  async #next() {
    while (!this.ended) {
      if (this.state === "paused") { await this.#awake(); continue; }
      try {
        const data = await this.#record();
        if (!this.ended) this.#pass(data);
        return;
      } catch (error) {
        if (this.ended || this.state === "paused") continue; // it broke because it was told to
        if (error instanceof Broken) await this.#again(error.code);
        else this.#end("failed", error instanceof Refused ? error.code : error instanceof BadCoding ? "changed" : "unknown");
      }
    }
  }

  async #record() {
    this.#open ??= await opener(this.#secret, this.#form);
    const { at, length } = placeOf(this.#form, this.#number);
    const sealed = this.#sealed.subarray(0, length);
    await this.#source.read(at, sealed);
    return this.#open(this.#number, sealed);
  }

  #pass(data) {
    const { length } = data; // until it is given back
    this.#tries = 0;
    if (this.state === "trying") this.#become("running");
    if (length) {
      this.#controller.enqueue(data);
      // WAITING_RECORDS wait in the stream at the most, and the browser takes and copies one after the other.
      if (this.#passed.push(data) > PASSED_RECORDS) free(this.#passed.shift());
    }
    this.#sent += length;
    collect(length);
    this.#number += 1;
    if (this.#number === this.#form.records) {
      if (this.#sent === this.#form.size) this.#end("done");
      else this.#end("failed", "changed");
    } else if (Date.now() - this.#told >= TELL_MS) {
      this.tell();
    }
  }

  async #again(code) {
    if (this.#tries >= TRIES) { this.pause(code); return; }
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries);
    this.#tries += 1;
    this.#become("trying", code);
    await this.#awake(wait * (0.5 + Math.random()));
  }

  // Until somebody wakes it, or this long.
  #awake(milliseconds = null) {
    return new Promise((resolve) => {
      const timer = milliseconds === null ? null : setTimeout(resolve, milliseconds);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  #end(state, code = "") {
    if (this.ended) return;
    this.#become(state, code);
    clearInterval(this.#ticking);
    this.#source.stop();
    this.#wake();
    try {
      if (state === "done") this.#controller?.close();
      else this.#controller?.error(new Error(code || state));
    } catch {
      // the browser had let go of the stream
    }
  }

  #become(state, code = "") {
    this.state = state;
    this.#code = code;
    this.tell();
  }
}
