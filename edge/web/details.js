// The details panel: when the session ends, what plays, and where its bytes came from (RFC 9211 Cache-Status).

import { inWords } from "./session.js";

const $ = (id) => document.getElementById(id);
const NAMES = { aes: "AES-128", cbcs: "Clear Key, cbcs", cenc: "Clear Key, cenc" };
const PLACES = ["l1", "l2", "origin"];
const megabytes = (n) => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;

// "sluice-edge-1; hit; detail=l1" → "l1". A header the browser hides or that says nothing counts as nothing.
export function placeOf(status) {
  return PLACES.find((place) => new RegExp(`detail="?${place}\\b`).test(status || "")) || null;
}

export function createDetails(video) {
  const bytes = { l1: 0, l2: 0, origin: 0 };
  let end = null;
  let timer = 0;

  function draw() {
    const left = end === null ? null : end - Date.now();
    const words = left === null ? "–" : inWords(left);
    $("d-ends").textContent = end === null ? "–" : `${words} (${new Date(end).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })})`;
    $("ends").textContent = `Session ends ${words}`;
    $("ends").hidden = end === null;
    $("d-buffer").textContent = `${ahead().toFixed(0)} s`;
    const all = PLACES.reduce((sum, place) => sum + bytes[place], 0) || 1;
    for (const place of PLACES) {
      $(`n-${place}`).textContent = megabytes(bytes[place]);
      document.querySelector(`.sources .${place}`).style.width = `${(100 * bytes[place]) / all}%`;
    }
    $("sources").setAttribute("aria-label", PLACES.map((place) => `${place}: ${megabytes(bytes[place])}`).join(", "));
  }

  function ahead() {
    for (let i = 0; i < video.buffered.length; i++) {
      if (video.buffered.start(i) <= video.currentTime + 0.1 && video.currentTime <= video.buffered.end(i)) {
        return video.buffered.end(i) - video.currentTime;
      }
    }
    return 0;
  }

  return {
    bytes,
    start(sessionEnd) {
      end = sessionEnd;
      clearInterval(timer);
      timer = setInterval(draw, 1000);
      draw();
    },
    stop() {
      clearInterval(timer);
      end = null;
      for (const place of PLACES) bytes[place] = 0;
    },
    loaded(status, size) {
      const place = placeOf(status);
      if (place) bytes[place] += size;
    },
    playing(level, period) {
      if (level?.height) $("d-quality").textContent = `${level.height}p, ${(level.bitrate / 1e6).toFixed(1)} Mbit/s`;
      else if (level) $("d-quality").textContent = `Audio, ${Math.round(level.bitrate / 1000)} kbit/s`;
      $("d-period").textContent = period === undefined ? "–" : `${Number(period) + 1}`;
    },
    // Offers the protections this browser can play; the one that plays is chosen.
    protections(names, now) {
      $("protection").replaceChildren(...names.map((name) => new Option(NAMES[name] || name, name, false, name === now)));
      $("protection").disabled = names.length < 2;
    },
  };
}
