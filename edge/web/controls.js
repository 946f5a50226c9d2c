// The controls over the picture: pointer, touch and keyboard. Knows the video element, nothing of sessions.

const $ = (id) => document.getElementById(id);
const QUIET_AFTER_MS = 2600;
const STEP_S = 5;

export function timeText(seconds) {
  if (!Number.isFinite(seconds)) return "0:00";
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  return hours ? `${hours}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

export function attachControls(stage, video, { chooseQuality, captions }) {
  let quietTimer = 0;
  let seeking = false;

  const toggle = () => { if (video.paused) video.play().catch(() => {}); else video.pause(); };
  const mute = () => { video.muted = !video.muted; };
  const louder = (by) => { video.muted = false; video.volume = Math.min(1, Math.max(0, video.volume + by)); };
  const jump = (to) => { if (Number.isFinite(video.duration)) video.currentTime = Math.min(video.duration - 0.1, Math.max(0, to)); };
  const full = () => { if (document.fullscreenElement) document.exitFullscreen(); else stage.requestFullscreen?.(); };
  const info = () => {
    const open = $("details").toggleAttribute("hidden") === false;
    $("info").setAttribute("aria-expanded", String(open));
  };

  function awake() {
    stage.classList.remove("quiet");
    clearTimeout(quietTimer);
    quietTimer = setTimeout(() => {
      const held = stage.querySelector(".controls :focus-visible, .controls select:focus");
      if (!video.paused && !held) stage.classList.add("quiet");
    }, QUIET_AFTER_MS);
  }

  function draw() {
    const length = video.duration || 0;
    const at = seeking ? ($("seek").value / 1000) * length : video.currentTime;
    $("clock").textContent = `${timeText(at)} / ${timeText(length)}`;
    if (!seeking) $("seek").value = length ? Math.round((at / length) * 1000) : 0;
    $("seek").setAttribute("aria-valuetext", `${timeText(at)} of ${timeText(length)}`);
    $("played").style.width = length ? `${(at / length) * 100}%` : "0";
    const ranges = video.buffered;
    let end = 0;
    for (let i = 0; i < ranges.length; i++) if (ranges.start(i) <= at + 0.5) end = Math.max(end, ranges.end(i));
    $("buffered").style.width = length ? `${(end / length) * 100}%` : "0";
  }

  const KEYS = {
    " ": toggle, k: toggle, m: mute, f: full, i: info, c: captions,
    ArrowLeft: () => jump(video.currentTime - STEP_S), ArrowRight: () => jump(video.currentTime + STEP_S),
    j: () => jump(video.currentTime - 10), l: () => jump(video.currentTime + 10),
    ArrowUp: () => louder(0.1), ArrowDown: () => louder(-0.1),
    Home: () => jump(0), End: () => jump(video.duration),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || $("controls").hidden) return;
    const on = event.target;
    if (on instanceof HTMLSelectElement || (on instanceof HTMLInputElement && on.type !== "range")) return;
    if (on instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter")) { awake(); return; }
    const act = KEYS[event.key] || (/^[0-9]$/.test(event.key) ? () => jump((video.duration * Number(event.key)) / 10) : null);
    if (!act) return;
    event.preventDefault();
    act();
    awake();
  });

  $("play").addEventListener("click", toggle);
  $("mute").addEventListener("click", mute);
  $("full").addEventListener("click", full);
  $("info").addEventListener("click", info);
  $("volume").addEventListener("input", () => { video.muted = false; video.volume = $("volume").value / 100; });
  $("speed").addEventListener("change", () => { video.playbackRate = Number($("speed").value); });
  $("quality").addEventListener("change", () => chooseQuality(Number($("quality").value)));
  $("seek").addEventListener("input", () => { seeking = true; draw(); });
  $("seek").addEventListener("change", () => { jump(($("seek").value / 1000) * video.duration); seeking = false; });
  video.addEventListener("click", () => { if (matchMedia("(pointer: coarse)").matches && stage.classList.contains("quiet")) awake(); else toggle(); });
  video.addEventListener("dblclick", full);
  video.addEventListener("volumechange", () => {
    stage.classList.toggle("muted", video.muted || video.volume === 0);
    $("mute").setAttribute("aria-label", video.muted ? "Sound on" : "Mute");
    $("volume").value = video.muted ? 0 : Math.round(video.volume * 100);
  });
  for (const name of ["play", "pause"]) video.addEventListener(name, () => { $("play").setAttribute("aria-label", video.paused ? "Play" : "Pause"); awake(); });
  for (const name of ["timeupdate", "progress", "durationchange", "seeked"]) video.addEventListener(name, draw);
  for (const name of ["pointermove", "pointerdown", "focusin"]) stage.addEventListener(name, awake);

  return {
    ready() { awake(); draw(); },
    qualities({ levels }) {
      const list = $("quality");
      list.replaceChildren(new Option("Auto", "-1"));
      const order = levels.map((level, number) => ({ level, number })).sort((a, b) => b.level.bitrate - a.level.bitrate);
      for (const { level, number } of order) {
        list.append(new Option(level.height ? `${level.height}p` : `${Math.round(level.bitrate / 1000)} kbit/s`, String(number)));
      }
    },
    quality({ levels, current, automatic }) {
      const now = levels[current];
      const auto = $("quality").options[0];
      auto.textContent = automatic && now?.height ? `Auto (${now.height}p)` : "Auto";
      $("quality").value = automatic ? "-1" : String(current);
    },
  };
}
