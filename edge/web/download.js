// The download page: takes the signed link in its fragment, opens its session when the viewer says so, and has the
// service worker (worker.js) decrypt the file on its way to the disk. A file that leaves as it is needs none of that.

import { BadCoding, HEADER_ASKED, readForm } from "./ece.js";
import { linkOf, targetOf } from "./link.js";
import { sentenceFor } from "./refusals.js";
import { refuse as refuseAnswer } from "./source.js";

const $ = (id) => document.getElementById(id);
const save = $("save");
const PING_MS = 5000;
const BEGUN_WITHIN_MS = 8000; // from the worker's having it to the browser's asking for it
const STARTS = 2; // a browser that has ended or replaced the worker meanwhile asks nobody: then once more

let link = null;
let running = null; // {id, worker, what, starts, late, since, from} while a download is on its way

function show(...parts) {
  for (const id of ["name", "start", "way", "refusal", "ask"]) $(id).hidden = !parts.includes(id);
}

function become(state) {
  save.dataset.state = state;
  const stands = state === "paused";
  $("pause").textContent = stands ? "Resume" : "Pause";
  for (const id of ["pause", "cancel"]) $(id).hidden = !running;
  window.onbeforeunload = running && state !== "waiting" ? (event) => event.preventDefault() : null;
}

function refuse(code) {
  const { sentence, hint, again } = sentenceFor(code);
  clearTimeout(running?.late);
  running = null;
  become("refused");
  save.dataset.code = code;
  $("sentence").textContent = sentence;
  $("hint").textContent = hint;
  $("again").hidden = !again;
  show("refusal");
}

function open() {
  if (running) return; // one at a time; the fragment of another link waits for its end
  delete save.dataset.code;
  link = linkOf(location.hash);
  const target = link && targetOf(link);
  become("idle");
  if (!target) { show("ask"); $("link").focus(); return; }
  if (target.kind === "stream") { location.replace(`./${location.hash}`); return; }
  $("name").textContent = target.name;
  $("how").textContent = target.kind === "protected"
    ? "It comes encrypted for you and is decrypted here, on its way to your disk. Keep this page open meanwhile." : "";
  $("begin").textContent = "Download";
  show("name", "start");
}

async function begin() {
  if (targetOf(link).kind === "file") { location.assign(link); return; }
  if (running) return;
  running = { id: "", worker: null, what: null, starts: 0 };
  become("opening");
  $("told").textContent = "Opening…";
  $("bar").removeAttribute("value");
  show("name", "way");
  try {
    await theWorker();
    running.what = await opened();
    $("name").textContent = document.title = running.what.name;
    await start();
  } catch (error) {
    refuse(error instanceof BadCoding ? "changed" : typeof error.code === "string" ? error.code : "unreachable");
  }
}

// Hands it to the worker as it runs now, under an ID of this start: an earlier start that comes late finds nothing.
async function start() {
  running.starts += 1;
  tell("cancel");
  running.worker = null; // what it says of the earlier start is of nothing now
  running.id = crypto.randomUUID();
  become("opening");
  const mine = running;
  mine.late = setTimeout(restart, BEGUN_WITHIN_MS);
  const worker = await theWorker();
  if (running !== mine) return;
  running.worker = worker;
  tell("save", running.what);
}

// The download did not begin.
function restart() {
  clearTimeout(running.late);
  if (running.starts < STARTS) start().catch(() => refuse("unbegun"));
  else { tell("cancel"); refuse("unbegun"); }
}

function begun() {
  return !["opening", "waiting"].includes(save.dataset.state);
}

class Unable extends Error {
  code = "saving";
}

// The worker, once it runs. Unable where the browser has none: on http, in some private windows, in old browsers.
async function theWorker() {
  if (!window.isSecureContext || !navigator.serviceWorker || !crypto.subtle) throw new Unable();
  const registered = await navigator.serviceWorker
    .register("worker.js", { scope: "saving/", type: "module" })
    .catch(() => { throw new Unable(); });
  const worker = registered.active ?? registered.waiting ?? registered.installing;
  await new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      else if (worker.state === "redundant") reject(new Unable());
    };
    worker.addEventListener("statechange", look);
    look();
  });
  return worker;
}

// Opens the link's session: what is saved, from where, and what opens it.
async function opened() {
  const begun = await fetch(link, { headers: { Range: `bytes=0-${HEADER_ASKED - 1}` }, cache: "no-store" });
  if (begun.status !== 206) await refuseAnswer(begun);
  const header = new Uint8Array(await begun.arrayBuffer());
  const place = new URL(begun.url);
  place.pathname += "/key";
  const answer = await fetch(place, { cache: "no-store" });
  if (!answer.ok) await refuseAnswer(answer);
  const { key, size, sha256, name } = await answer.json();
  return { url: begun.url, form: readForm(header, size), secret: bytesOf(key), name, sha256 };
}

function bytesOf(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

function tell(does, what) {
  running?.worker?.postMessage({ does, id: running.id, what });
}

// What the worker says. Every word is answered: that keeps it alive (worker.js).
function heard({ data: { id, state, sent, size, code } }) {
  if (!running || id !== running.id) return;
  if (state === "failed") { refuse(code); return; }
  if (state === "lost") {
    if (begun()) refuse("stopped");
    else restart();
    return;
  }
  if (state === "waiting" && save.dataset.state === "opening") $("to-disk").click();
  if (state === "running" && save.dataset.state !== "running") [running.since, running.from] = [Date.now(), sent];
  const { sha256 } = running.what;
  if (state !== "waiting") clearTimeout(running.late);
  if (state === "done" || state === "cancelled") running = null;
  tell("ping");
  become(state);
  $("bar").value = size ? sent / size : 1;
  $("told").textContent = {
    waiting: "Handing it to the browser…",
    running: `${megabytes(sent)} of ${megabytes(size)}${running ? pace(sent, size) : ""}`,
    trying: `${megabytes(sent)} of ${megabytes(size)}. The line broke; trying again.`,
    paused: `Paused at ${megabytes(sent)} of ${megabytes(size)}.${code ? ` ${sentenceFor(code).sentence}` : ""}`,
    done: `Done: ${megabytes(size)}, every byte authenticated. SHA-256 of the file: ${sha256 && hex(bytesOf(sha256))}`,
    cancelled: "Cancelled. Nothing was kept.",
  }[state];
  if (running) return;
  $("how").textContent = "";
  $("begin").textContent = "Download again";
  show("name", "start", "way");
}

function pace(sent, size) {
  const each = (Date.now() - running.since) / (sent - running.from); // ms a byte
  if (!Number.isFinite(each) || Date.now() - running.since < 1000) return "";
  const left = ((size - sent) * each) / 1000;
  return `, ${megabytes(1000 / each)}/s, ${left < 90 ? `${Math.ceil(left)} s` : `${Math.round(left / 60)} min`} left`;
}

function megabytes(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A navigation of this page to where the worker answers with an attachment; the page stays.
$("to-disk").addEventListener("click", () => { $("to-disk").href = `saving/${running.id}`; });
$("begin").addEventListener("click", begin);
$("again").addEventListener("click", () => { open(); begin(); });
$("pause").addEventListener("click", () => tell(save.dataset.state === "paused" ? "resume" : "pause"));
$("cancel").addEventListener("click", () => tell("cancel"));
$("ask").addEventListener("submit", (event) => { event.preventDefault(); location.hash = $("link").value.trim(); });
window.addEventListener("hashchange", open);
window.addEventListener("pagehide", () => tell("leave"));
navigator.serviceWorker?.addEventListener("message", heard);
navigator.serviceWorker?.startMessages();
setInterval(() => tell("ping"), PING_MS);
open();
