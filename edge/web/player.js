// The player page: plays the signed link that stands in the fragment, so that it is never sent to a server by the
// browser's address bar, and says in a sentence why something was refused. Controls are in controls.js, what the
// details panel shows in details.js, the sentences in refusals.js.

import { attachControls } from "./controls.js";
import { createDetails } from "./details.js";
import { codeIn, refusalOf, sentenceFor } from "./refusals.js";
import { leave, sessionEnd } from "./session.js";

const $ = (id) => document.getElementById(id);
const video = $("video");
const stage = $("stage");
const details = createDetails(video);
const BUFFER_S = 30; // few keys in hand at a time, and little thrown away on a seek

let hls = null;
let session = null; // URL of the session's playlist
let troubles = 0;

function show(part) {
  for (const id of ["spinner", "big", "refusal", "ask"]) $(id).hidden = id !== part;
  $("controls").hidden = part === "refusal" || part === "ask";
}

function refuse(code) {
  const { sentence, hint, again } = sentenceFor(code);
  stop();
  session = null;
  stage.dataset.state = "refused";
  [stage.dataset.code, stage.dataset.limit = ""] = code.split(":");
  $("sentence").textContent = sentence;
  $("hint").textContent = hint;
  $("again").hidden = !again;
  $("ends").hidden = true;
  show("refusal");
}

function stop() {
  if (hls) hls.destroy();
  hls = null;
  video.pause();
  video.removeAttribute("src");
  details.stop();
}

function linkOf(fragment) {
  const text = fragment.replace(/^#/, "");
  if (!text) return null;
  try {
    const whole = /^https?%3a/i.test(text) ? decodeURIComponent(text) : text;
    const url = new URL(whole.replace(/%3B(\w+)%3D/i, ";$1="), location.origin); // mailers escape both
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

function playWithHls(link) {
  hls = new Hls({
    maxBufferLength: BUFFER_S,
    maxMaxBufferLength: BUFFER_S,
    backBufferLength: 30,
    capLevelToPlayerSize: false,
    // A segment may be held back while the pace of watching is kept, for up to 8 s before its first byte.
    fragLoadPolicy: { default: { maxTimeToFirstByteMs: 12000, maxLoadTimeMs: 120000,
      timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: 6, retryDelayMs: 1000, maxRetryDelayMs: 8000, shouldRetry: worthRetrying } } },
    keyLoadPolicy: { default: { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 20000,
      timeoutRetry: { maxNumRetry: 3, retryDelayMs: 1000, maxRetryDelayMs: 8000 },
      errorRetry: { maxNumRetry: 6, retryDelayMs: 1000, maxRetryDelayMs: 8000, shouldRetry: worthRetrying } } },
  });
  hls.on(Hls.Events.MANIFEST_LOADED, (_, data) => opened(data));
  hls.on(Hls.Events.MANIFEST_PARSED, () => { controls.qualities(hls); start(); });
  hls.on(Hls.Events.LEVEL_SWITCHED, () => controls.quality(hls));
  hls.on(Hls.Events.FRAG_LOADED, (_, data) => { troubles = 0; details.loaded(data); });
  hls.on(Hls.Events.FRAG_CHANGED, (_, data) => details.playing(hls, data.frag));
  hls.on(Hls.Events.ERROR, (_, data) => failed(data));
  hls.loadSource(link);
  hls.attachMedia(video);
}

// 403 means stop, whatever is asked again; trouble (5xx, a broken line) is worth another try.
function worthRetrying(config, count, isTimeout, response) {
  if (count >= config.maxNumRetry) return false;
  return isTimeout || !response || response.code === 0 || response.code >= 500;
}

function opened(data) {
  session = data.networkDetails?.responseURL || data.url;
  const end = sessionEnd(session);
  const title = data.sessionData?.["com.apple.hls.title"]?.VALUE;
  if (title) { $("title").textContent = title; document.title = `${title} · Sluice`; }
  details.start(end);
}

function failed(data) {
  const code = refusalOf(data);
  if (code) { refuse(code); return; }
  if (!data.fatal) return;
  if (data.type === Hls.ErrorTypes.MEDIA_ERROR && troubles++ < 3) { hls.recoverMediaError(); return; }
  if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
    const status = data.response?.code || 0; // 400 and 404: a link that was cut or altered on its way
    refuse(status >= 500 ? "unavailable" : status ? "forbidden" : "unreachable");
    return;
  }
  refuse("media");
}

// Safari on phones has no Media Source Extensions: it plays the link itself. A look at the link first finds out why
// it would be refused; opening is idempotent for a minute, so this costs no second session.
async function playNatively(link) {
  try {
    const answer = await fetch(link, { redirect: "follow", cache: "no-store" });
    if (!answer.ok) { refuse(codeIn(await answer.json().catch(() => ({})))); return; }
    session = answer.url;
    details.start(sessionEnd(session));
    video.src = answer.url;
    video.addEventListener("error", () => refuse("media"), { once: true });
    start();
  } catch {
    refuse("unreachable");
  }
}

// Says that the session stops, so that another device need not wait for the place it held.
function goAway() {
  leave(session);
  session = null;
}

async function start() {
  show("spinner");
  controls.ready();
  try {
    await video.play();
  } catch {
    // The browser wants a gesture before there may be sound: one big button asks for it.
    if (stage.dataset.state !== "refused") show("big");
  }
}

function open() {
  goAway();
  stop();
  delete stage.dataset.code;
  stage.dataset.state = "loading";
  const link = linkOf(location.hash);
  if (!link) { stage.dataset.state = "idle"; show("ask"); $("link").focus(); return; }
  show("spinner");
  if (typeof Hls !== "undefined" && Hls.isSupported()) playWithHls(link);
  else if (video.canPlayType("application/vnd.apple.mpegurl")) playNatively(link);
  else refuse("unsupported");
}

const controls = attachControls(stage, video, { chooseQuality: (level) => { if (hls) hls.nextLevel = level; } });

video.addEventListener("playing", () => { stage.dataset.state = "playing"; show(null); });
video.addEventListener("pause", () => { if (stage.dataset.state === "playing") stage.dataset.state = "paused"; });
video.addEventListener("waiting", () => { if (hls || video.src) show("spinner"); });
video.addEventListener("canplay", () => { if (!video.paused) show(null); });
video.addEventListener("ended", () => { stage.dataset.state = "ended"; show("big"); });
$("big").addEventListener("click", () => video.play());
$("again").addEventListener("click", open);
$("ask").addEventListener("submit", (event) => { event.preventDefault(); location.hash = $("link").value.trim(); });
window.addEventListener("hashchange", open);
window.addEventListener("pagehide", goAway);
window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });

window.sluice = { get hls() { return hls; }, get bytes() { return details.bytes; } };
open();
