// The player page: plays the signed link that stands in the fragment, so that it is never sent to a server by the
// browser's address bar, and says in a sentence why something was refused. Players are in with-hls.js (segments encrypted
// whole) and with-shaka.js (Common Encryption), controls in controls.js, what the details panel shows in details.js, the
// sentences in refusals.js.
//
//   #<link>                        what every browser plays: segments encrypted whole
//   #protection=cenc&<link>        that protection, where the film has it and the browser can; else as above

import { attachControls } from "./controls.js";
import { createDetails } from "./details.js";
import { createPeek } from "./peek.js";
import { createTracks } from "./tracks.js";
import { linkOf, targetOf } from "./link.js";
import { codeIn, sentenceFor } from "./refusals.js";
import { leave, sessionEnd } from "./session.js";
import { canPlayHls, playWithHls } from "./with-hls.js";
import { canPlayCommon, playWithShaka, readManifest } from "./with-shaka.js";

const $ = (id) => document.getElementById(id);
const video = $("video");
const stage = $("stage");
const details = createDetails(video);
const peek = createPeek(video);
const tracks = createTracks(() => player);
const BUFFER_S = 30; // few keys in hand at a time, and little thrown away on a seek
const WHOLE = "aes";

let player = null;
let session = null; // URL of the session's playlist or manifest
let turn = 0; // which opening this is: what an earlier one still waits for counts no more

function show(part) {
  for (const id of ["spinner", "big", "refusal", "ask"]) $(id).hidden = id !== part;
  $("controls").hidden = part === "refusal" || part === "ask";
}

function refuse(code) {
  const { sentence, hint, again } = sentenceFor(code);
  turn += 1;
  void stop();
  session = null;
  stage.dataset.state = "refused";
  [stage.dataset.code, stage.dataset.limit = ""] = code.split(":");
  $("sentence").textContent = sentence;
  $("hint").textContent = hint;
  $("again").hidden = !again;
  $("ends").hidden = true;
  show("refusal");
}

async function stop() {
  const old = player;
  player = null;
  video.pause();
  details.stop();
  peek.open(null);
  await old?.destroy();
  if (!player) video.removeAttribute("src");
}

// The link in a fragment, and the protection asked for.
function asked(fragment) {
  const [, protection = "", text] = /^#?(?:protection=(\w+)&)?(.*)$/s.exec(fragment);
  const link = linkOf(text);
  return link ? { link, protection } : {};
}

// What a player tells, as long as its turn lasts.
function listening() {
  const mine = turn;
  const heard = (act) => (...told) => { if (mine === turn) act(...told); };
  return {
    opened: heard(opened),
    ready: heard(() => { controls.qualities(player); tracks.show(); void start(); }),
    tracks: heard(tracks.show),
    switched: heard(() => { if (player) controls.quality(player); }),
    loaded: heard(details.loaded),
    playing: heard(details.playing),
    failed: heard(refuse),
  };
}

function opened({ url, title, protections, storyboard }) {
  const now = protectionOf(url);
  session = url;
  if (now === "drm") { goAway(); refuse("drm"); return; }
  if (title) { $("title").textContent = title; document.title = `${title} · Sluice`; }
  peek.open(storyboard ? new URL(storyboard, url).href : null);
  details.start(sessionEnd(url));
  const can = (name) => name === now || (name === WHOLE ? canPlayHls() : canPlayCommon());
  details.protections(protections.filter(can), now);
}

const protectionOf = (url) => new URL(url).pathname.split("/").at(-2);

function playWhole(link, startAt = 0) {
  if (canPlayHls()) player = playWithHls(video, link, BUFFER_S, startAt, listening());
  else if (video.canPlayType("application/vnd.apple.mpegurl")) void playNatively(link);
  else refuse("unsupported");
}

// Common Encryption. The manifest is read here first: its address is the session's, beside which the license lies.
// A film that has it not plays `otherwise`.
async function playCommon(link, { startAt = 0, otherwise = "" }) {
  const mine = turn;
  try {
    const answer = await fetch(link);
    const body = await answer.text();
    if (mine !== turn) return;
    const code = answer.ok ? "" : codeOfBody(body);
    if (code === "not_offered" && otherwise) { playWhole(otherwise); return; }
    if (code) { refuse(code); return; }
    opened({ url: answer.url, ...readManifest(body) });
    const made = await playWithShaka(video, answer.url, BUFFER_S, startAt, listening());
    if (mine === turn) player = made;
    else void made.destroy();
  } catch {
    if (mine === turn) refuse("unreachable");
  }
}

function codeOfBody(text) {
  try { return codeIn(JSON.parse(text)); } catch { return "unknown"; }
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
    void start();
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

// The manifest a link opens instead of its playlist, under that protection.
function manifestOf(link, protection) {
  const url = new URL(link);
  url.pathname = url.pathname.replace(/main\.m3u8$/, "main.mpd");
  url.searchParams.set("protection", protection);
  return url.href;
}

async function open() {
  const mine = ++turn;
  goAway();
  delete stage.dataset.code;
  stage.dataset.state = "loading";
  const { link, protection } = asked(location.hash);
  if (link && targetOf(link).kind !== "stream") { location.replace(`download.html#${link}`); return; }
  if (link) show("spinner");
  const common = link && protection && protection !== WHOLE && canPlayCommon();
  await stop();
  if (mine !== turn) return;
  if (!link) { stage.dataset.state = "idle"; show("ask"); $("link").focus(); return; }
  if (common) await playCommon(manifestOf(link, protection), { otherwise: link });
  else playWhole(link);
}

// Another protection of the same session, from the same moment on. The address says so too, for when it is loaded again.
async function chooseProtection(name) {
  if (!session || name === protectionOf(session)) return;
  const mine = ++turn;
  const at = video.currentTime;
  const { link } = asked(location.hash);
  history.replaceState(null, "", name === WHOLE ? `#${link}` : `#protection=${name}&${link}`);
  show("spinner");
  await stop();
  if (mine !== turn) return;
  if (name === WHOLE) playWhole(new URL(`../${name}/main.m3u8`, session).href, at);
  else await playCommon(new URL(`../${name}/main.mpd`, session).href, { startAt: at });
}

const controls = attachControls(stage, video, { chooseQuality: (level) => player?.choose(level), captions: tracks.toggle });

video.addEventListener("playing", () => { stage.dataset.state = "playing"; show(null); });
video.addEventListener("pause", () => { if (stage.dataset.state === "playing") stage.dataset.state = "paused"; });
video.addEventListener("waiting", () => { if (player || video.src) show("spinner"); });
video.addEventListener("canplay", () => { if (!video.paused) show(null); });
video.addEventListener("ended", () => { stage.dataset.state = "ended"; show("big"); });
$("big").addEventListener("click", () => video.play());
$("again").addEventListener("click", open);
$("protection").addEventListener("change", () => chooseProtection($("protection").value));
$("ask").addEventListener("submit", (event) => { event.preventDefault(); location.hash = $("link").value.trim(); });
window.addEventListener("hashchange", open);
window.addEventListener("pagehide", goAway);
window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });

window.sluice = {
  get hls() { return player?.hls; },
  get shaka() { return player?.shaka; },
  get bytes() { return details.bytes; },
};
open();
