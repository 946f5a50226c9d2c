// Plays a session under Common Encryption, with Shaka Player, which is loaded when it is first needed. Keys come as a W3C
// Clear Key license, which lies beside the manifest. Offers and tells what with-hls.js does.

import { codeIn } from "./refusals.js";

const KEY_SYSTEM = "org.w3.clearkey";
const FATAL = 2; // shaka.util.Error.Severity.CRITICAL
const SEGMENT = 1; // shaka.net.NetworkingEngine.RequestType.SEGMENT
const BAD_STATUS = 1001;
const NETWORK = 1; // categories of shaka.util.Error
const DRM = 6;
const LICENSE_FAILED = 6007;

let loading = null;

// Whether it can be played here. Shaka decrypts by the browser's decryptor or, where there is none that does it, by itself;
// browsers let pages of https or of this machine do either, and no others.
export function canPlayCommon() {
  const source = window.ManagedMediaSource || window.MediaSource;
  return Boolean(source && window.isSecureContext && window.crypto?.subtle);
}

// The script's tag stands in the page, inert and with its digest: it is put to work here.
function loaded() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.importNode(document.getElementById("common-player").content, true).querySelector("script");
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => { loading = null; reject(new Error("no player")); });
    document.head.append(script);
  });
  return loading;
}

// What a manifest of ours says beside its tracks.
export function readManifest(text) {
  const mpd = new DOMParser().parseFromString(text, "application/xml");
  const offered = [...mpd.querySelectorAll("MPD > SupplementalProperty")]
    .find((each) => each.getAttribute("schemeIdUri") === "urn:sluice:protections");
  return {
    title: mpd.querySelector("ProgramInformation > Title")?.textContent,
    storyboard: mpd.querySelector('AdaptationSet[contentType="image"]') ? "storyboard/index.vtt" : undefined,
    protections: offered?.getAttribute("value").split(" ") || [],
  };
}

// A code of refusals.js for an error of Shaka's; null for one it goes on after.
export function codeOf(error) {
  const inner = error.code === LICENSE_FAILED && error.data?.[0]?.code ? error.data[0] : error;
  if (inner.code === BAD_STATUS) {
    const [, status, body] = inner.data;
    if (status === 403) {
      try { return codeIn(JSON.parse(body)); } catch { return "unknown"; }
    }
    if (error.severity !== FATAL) return null;
    return status >= 500 ? "unavailable" : "forbidden";
  }
  if (error.severity !== FATAL) return null;
  if (inner.category === NETWORK) return "unreachable";
  return inner.category === DRM && inner.code !== LICENSE_FAILED ? "protection" : "media";
}

export async function playWithShaka(video, url, bufferSeconds, startAt, on) {
  await loaded();
  const player = new shaka.Player();
  const retries = { maxAttempts: 6, baseDelay: 1000, backoffFactor: 2, fuzzFactor: 0.3 };
  player.configure({
    drm: { servers: { [KEY_SYSTEM]: new URL("license", url).href }, retryParameters: retries },
    manifest: { retryParameters: retries },
    streaming: {
      bufferingGoal: bufferSeconds,
      bufferBehind: 30,
      ignoreTextStreamFailures: true, // a film goes on without its captions; a refused session ends it by its segments
      // A segment may be held back while the pace of watching is kept, for up to 8 s before its first byte.
      retryParameters: { ...retries, connectionTimeout: 12000, stallTimeout: 12000, timeout: 120000 },
    },
  });

  const tracks = () => {
    const all = player.getVariantTracks();
    const now = all.find((track) => track.active) || all[0];
    return all.filter((track) => track.audioId === now?.audioId);
  };
  const sounds = () => {
    const found = new Map();
    for (const { language, label, active } of player.getVariantTracks()) {
      const key = `${language} ${label}`;
      found.set(key, { language, label, active: active || found.get(key)?.active });
    }
    return [...found.values()];
  };
  const level = (track) => ({ height: track.height, bitrate: track.bandwidth });
  const fail = (error) => { const code = codeOf(error); if (code) on.failed(code); };
  const switched = () => {
    on.switched();
    const now = tracks().find((track) => track.active);
    if (now) on.playing(level(now));
  };

  player.addEventListener("error", (event) => fail(event.detail));
  player.addEventListener("adaptation", switched);
  player.addEventListener("variantchanged", switched);
  for (const name of ["trackschanged", "textchanged"]) player.addEventListener(name, () => on.tracks());
  player.getNetworkingEngine().registerResponseFilter((type, response) => {
    if (type === SEGMENT) on.loaded(response.headers["cache-status"], response.data.byteLength);
  });

  const begin = async () => {
    try {
      player.setVideoContainer(document.getElementById("read")); // captions are shown in there
      await player.attach(video);
      await player.load(url, startAt || null);
      on.ready();
      switched();
    } catch (error) {
      fail(error);
    }
  };
  void begin();

  return {
    shaka: player,
    get levels() { return tracks().map(level); },
    get current() { return tracks().findIndex((track) => track.active); },
    get automatic() { return player.getConfiguration().abr.enabled; },
    choose(number) {
      player.configure("abr.enabled", number < 0);
      if (number >= 0) player.selectVariantTrack(tracks()[number], true, 4);
      on.switched();
    },
    get sounds() { return sounds().map((each) => each.label || each.language); },
    get sound() { return sounds().findIndex((each) => each.active); },
    chooseSound(number) {
      const { language, label } = sounds()[number];
      const track = player.getVariantTracks().find((each) => each.language === language && each.label === label);
      if (track) player.selectVariantTrack(track, true);
      on.tracks();
    },
    get texts() { return player.getTextTracks().map((each) => each.label || each.language); },
    get text() { return player.getTextTracks().findIndex((each) => each.active); },
    chooseText(number) {
      player.selectTextTrack(number >= 0 ? player.getTextTracks()[number] : null);
      on.tracks();
    },
    destroy() { return player.destroy(); },
  };
}
