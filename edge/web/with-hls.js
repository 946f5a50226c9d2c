// Plays a link whose segments are encrypted whole (AES-128), with hls.js.
//
// What a player offers: `levels` (height, bitrate), `current` (number of one of them), `automatic`, `choose(number)` (-1:
// by itself), `destroy()`. What it tells: `opened({ url, title, protections })`, `ready()`, `switched()`,
// `loaded(cacheStatus, bytes)`, `playing(level, keyPeriod)`, `failed(code)`.

import { createCues } from "./cues.js";
import { refusalOf } from "./refusals.js";

const TITLE = "com.apple.hls.title";
const PROTECTIONS = "sluice.protections";
const STORYBOARD = "sluice.storyboard";
const RECOVERIES = 3;

// 403 means stop, whatever is asked again; trouble (5xx, a broken line) is worth another try.
function worthRetrying(config, count, isTimeout, response) {
  if (count >= config.maxNumRetry) return false;
  return isTimeout || !response || response.code === 0 || response.code >= 500;
}

export const canPlayHls = () => typeof Hls !== "undefined" && Hls.isSupported();

export function playWithHls(video, link, bufferSeconds, startAt, on) {
  let troubles = 0;
  const hls = new Hls({
    startPosition: startAt || -1,
    maxBufferLength: bufferSeconds,
    maxMaxBufferLength: bufferSeconds,
    backBufferLength: 30,
    capLevelToPlayerSize: false,
    renderTextTracksNatively: false,
    // A segment may be held back while the pace of watching is kept, for up to 8 s before its first byte.
    fragLoadPolicy: { default: { maxTimeToFirstByteMs: 12000, maxLoadTimeMs: 120000,
      timeoutRetry: { maxNumRetry: 4, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: 6, retryDelayMs: 1000, maxRetryDelayMs: 8000, shouldRetry: worthRetrying } } },
    keyLoadPolicy: { default: { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 20000,
      timeoutRetry: { maxNumRetry: 3, retryDelayMs: 1000, maxRetryDelayMs: 8000 },
      errorRetry: { maxNumRetry: 6, retryDelayMs: 1000, maxRetryDelayMs: 8000, shouldRetry: worthRetrying } } },
  });

  hls.on(Hls.Events.MANIFEST_LOADED, (_, data) => on.opened({
    url: data.networkDetails?.responseURL || data.url,
    title: data.sessionData?.[TITLE]?.VALUE,
    protections: (data.sessionData?.[PROTECTIONS]?.VALUE || "aes").split(","),
    storyboard: data.sessionData?.[STORYBOARD]?.VALUE,
  }));
  hls.on(Hls.Events.MANIFEST_PARSED, on.ready);
  for (const name of ["AUDIO_TRACKS_UPDATED", "AUDIO_TRACK_SWITCHED", "SUBTITLE_TRACKS_UPDATED", "SUBTITLE_TRACK_SWITCH"]) hls.on(Hls.Events[name], () => on.tracks());
  const cues = createCues(video, hls);
  hls.on(Hls.Events.CUES_PARSED, (_, parsed) => cues.add(parsed));
  hls.on(Hls.Events.SUBTITLE_TRACK_SWITCH, cues.show);
  hls.on(Hls.Events.LEVEL_SWITCHED, on.switched);
  hls.on(Hls.Events.FRAG_LOADED, (_, { networkDetails, frag }) => {
    troubles = 0;
    on.loaded(networkDetails?.getResponseHeader?.("Cache-Status"), frag.stats.total || frag.stats.loaded);
  });
  hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => {
    const period = /key\/(\d+)/.exec(frag.decryptdata?.uri || "")?.[1];
    on.playing(hls.levels[frag.type === "main" ? frag.level : hls.currentLevel], period);
  });
  hls.on(Hls.Events.ERROR, (_, data) => {
    const code = refusalOf(data);
    if (code) { on.failed(code); return; }
    if (!data.fatal) return;
    if (data.frag?.type === "subtitle" || data.context?.type === "subtitleTrack") { // a film goes on without its captions
      hls.subtitleTrack = -1;
      hls.startLoad(video.currentTime);
      return;
    }
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && troubles++ < RECOVERIES) { hls.recoverMediaError(); return; }
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      const status = data.response?.code || 0; // 400 and 404: a link that was cut or altered on its way
      on.failed(status >= 500 ? "unavailable" : status ? "forbidden" : "unreachable");
      return;
    }
    on.failed("media");
  });
  hls.loadSource(link);
  hls.attachMedia(video);

  return {
    hls,
    get levels() { return hls.levels; },
    get current() { return hls.currentLevel; },
    get automatic() { return hls.autoLevelEnabled; },
    choose(level) { hls.nextLevel = level; },
    get sounds() { return hls.audioTracks.map((each) => each.name); },
    get sound() { return hls.audioTrack; },
    chooseSound(number) { hls.audioTrack = number; },
    get texts() { return hls.subtitleTracks.map((each) => each.name); },
    get text() { return hls.subtitleTrack; },
    chooseText(number) { hls.subtitleDisplay = number >= 0; hls.subtitleTrack = number; },
    destroy() { cues.end(); hls.destroy(); },
  };
}
