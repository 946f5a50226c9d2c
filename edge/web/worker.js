// The service worker of the download page. Its scope is /watch/saving/, where nothing is: the page hands it a download
// under an ID and goes to /watch/saving/<ID>, and what the browser gets there, as an attachment, is the decrypted file.
//
// Browsers end a worker that seems idle. The page answers whatever it is told, and each answer is an event that keeps
// the worker; page timers, which browsers slow down in the background, are not relied on.

import { Saving } from "./saving.js";

const ASKED_WITHIN_MS = 60_000;
const savings = new Map();

function begin(id, what, page) {
  const saving = new Saving(what, (told) => {
    page.postMessage({ id, ...told });
    if (saving?.ended) savings.delete(id);
  });
  savings.set(id, saving);
  setTimeout(() => { if (saving.state === "waiting") savings.delete(id); }, ASKED_WITHIN_MS);
  saving.tell();
}

addEventListener("message", ({ data: { does, id, what }, source: page }) => {
  const saving = savings.get(id);
  if (does === "save") begin(id, what, page);
  else if (!saving) page.postMessage({ id, state: "lost" });
  else if (does === "pause") saving.pause();
  else if (does === "resume") saving.resume();
  else if (does === "cancel") saving.cancel();
  else if (does === "leave" && saving.state === "paused") saving.cancel(); // nobody is left to go on with it
});

addEventListener("fetch", (event) => {
  const saving = savings.get(new URL(event.request.url).pathname.split("/").at(-1));
  // 204 leaves the browser where it is.
  event.respondWith(saving?.state === "waiting" ? saving.answer() : new Response(null, { status: 204 }));
});
