// The encoded body of a protected download, read from any place on, in one request after the other, each for a window
// of it: what is asked for comes as fast as the line has it, and a browser keeps what nobody has read yet in memory. What
// is worth another try is Broken, what is not is Refused with the edge's code.

import { free } from "./memory.js";
import { codeIn } from "./refusals.js";

const WINDOW = 8 << 20; // bytes: so many may wait unread, and so many are lost with a line that breaks
const STALLED_MS = 60_000; // without a byte: the line is dead, whatever the system says of it

export class Broken extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export class Source {
  #url; #total; #at = -1; #end = -1; #reader = null; #abort = null; #rest = new Uint8Array(0);

  // `total`: bytes the body has to have.
  constructor(url, total) {
    this.#url = url;
    this.#total = total;
  }

  // Fills `into` with what stands from `at` on. Broken or Refused, and nothing is held open then.
  async read(at, into) {
    try {
      if (!this.#reader || this.#at !== at) await this.#open(at);
      for (let filled = 0; filled < into.length;) {
        if (this.#at === this.#end) await this.#open(this.#at);
        if (!this.#rest.length) this.#rest = await this.#more();
        const taken = this.#rest.subarray(0, into.length - filled);
        into.set(taken, filled);
        filled += taken.length;
        this.#at += taken.length;
        this.#rest = this.#rest.subarray(taken.length);
        if (!this.#rest.length) free(taken);
      }
    } catch (error) {
      this.stop();
      throw error instanceof Refused || error instanceof Broken ? error : new Broken("unreachable");
    }
  }

  // Ends the request there is; the next read makes another.
  stop() {
    this.#abort?.abort();
    this.#reader = this.#abort = null;
    this.#rest = new Uint8Array(0);
  }

  async #more() {
    const abort = this.#abort;
    const stalled = setTimeout(() => abort.abort(), STALLED_MS);
    try {
      const { done, value } = await this.#reader.read();
      if (done) throw new Broken("unreachable");
      return value;
    } finally {
      clearTimeout(stalled);
    }
  }

  async #open(at) {
    this.stop();
    const abort = this.#abort = new AbortController();
    const stalled = setTimeout(() => abort.abort(), STALLED_MS);
    try {
      const end = Math.min(at + WINDOW, this.#total);
      const headers = { Range: `bytes=${at}-${end - 1}` };
      const answer = await fetch(this.#url, { headers, cache: "no-store", signal: abort.signal });
      if (answer.redirected) this.#url = answer.url; // a token that is renewed by redirects
      if (answer.status !== 206) await refuse(answer);
      const range = `bytes ${at}-${end - 1}/${this.#total}`;
      if (answer.headers.get("content-range") !== range) throw new Refused("changed");
      abort.signal.throwIfAborted();
      this.#reader = answer.body.getReader();
      [this.#at, this.#end] = [at, end];
    } finally {
      clearTimeout(stalled);
    }
  }
}

// Why an answer is none that was asked for: Broken when it may be another in a moment.
export async function refuse(answer) {
  if (answer.status >= 500 || answer.status === 429) throw new Broken("unavailable");
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status === 403 ? codeIn(problem) : "forbidden");
}
