// The small picture over the bar, of the moment the pointer or the thumb is at. Pictures lie in sheets, which are fetched
// when first wanted; a list in WebVTT says which part of which sheet is of when.

import { timeText } from "./controls.js";

const $ = (id) => document.getElementById(id);
const CUE = /(\d+):(\d\d):(\d\d\.\d{3}) --> .*\n(\d+\.jpg)#xywh=(\d+),(\d+),(\d+),(\d+)/g;

export function createPeek(video) {
  const bar = $("seek");
  const box = $("peek");
  const picture = $("peek-picture");
  let places = []; // of each picture: from, sheet, x, y, w, h
  let sheets = new Map();
  let turn = 0;

  async function open(url) {
    const mine = ++turn;
    [places, sheets] = [[], new Map()];
    box.hidden = true;
    if (!url) return;
    try {
      const answer = await fetch(url);
      if (!answer.ok || mine !== turn) return;
      places = [...(await answer.text()).matchAll(CUE)].map(([, h, m, s, name, ...place]) => {
        const [x, y, w, height] = place.map(Number);
        return { from: Number(h) * 3600 + Number(m) * 60 + Number(s), sheet: new URL(name, url).href, x, y, w, h: height };
      });
    } catch { /* a film plays without */ }
  }

  function sheet(url) {
    if (!sheets.has(url)) {
      const coming = fetch(url).then((answer) => {
        if (!answer.ok) throw new Error(String(answer.status));
        return answer.blob();
      }).then(createImageBitmap);
      coming.catch(() => sheets.delete(url));
      sheets.set(url, coming);
    }
    return sheets.get(url);
  }

  async function show(share) {
    const length = video.duration || 0;
    if (!places.length || !length) return;
    const at = Math.min(1, Math.max(0, share)) * length;
    const place = places.findLast(({ from }) => from <= at) || places[0];
    const mine = turn;
    box.hidden = false;
    box.dataset.wanted = String(at);
    $("peek-time").textContent = timeText(at);
    const room = bar.clientWidth;
    const half = place.w / 2 + 4;
    box.style.left = `${Math.min(Math.max(half, share * room), Math.max(half, room - half))}px`;
    try {
      const bitmap = await sheet(place.sheet);
      if (mine !== turn || box.dataset.wanted !== String(at)) return;
      [picture.width, picture.height] = [place.w, place.h];
      picture.getContext("2d").drawImage(bitmap, place.x, place.y, place.w, place.h, 0, 0, place.w, place.h);
      box.dataset.shown = String(place.from);
    } catch { if (mine === turn) box.hidden = true; }
  }

  bar.addEventListener("pointermove", (event) => {
    const { left, width } = bar.getBoundingClientRect();
    void show((event.clientX - left) / width);
  });
  bar.addEventListener("input", () => void show(Number(bar.value) / 1000));
  for (const name of ["pointerleave", "change", "blur"]) bar.addEventListener(name, () => { box.hidden = true; });
  return { open };
}
