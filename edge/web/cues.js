// Captions that hls.js has read, in text tracks of ours: those it makes by itself begin with a `data:` address, which the
// page's policy does not let in. A cue that lies in two segments comes twice and is shown once.

export function createCues(video, hls) {
  const tracks = new Map(); // by hls.js's name of a track
  const nameOf = (number) => (hls.subtitleTracks[number]?.default ? "default" : `subtitles${number}`);

  function add({ track: name, cues }) {
    if (!tracks.has(name)) tracks.set(name, { track: video.addTextTrack("subtitles", name), seen: new Set() });
    const { track, seen } = tracks.get(name);
    track.mode = "hidden"; // a disabled one takes no cues
    for (const cue of cues) {
      const what = `${cue.startTime} ${cue.endTime} ${cue.text}`;
      if (!seen.has(what)) { seen.add(what); track.addCue(cue); }
    }
    show();
  }

  function show() {
    const now = hls.subtitleTrack < 0 ? "" : nameOf(hls.subtitleTrack);
    for (const [name, { track }] of tracks) track.mode = name === now ? "showing" : "disabled";
  }

  function end() {
    for (const { track } of tracks.values()) track.mode = "disabled";
    tracks.clear();
  }

  return { add, show, end };
}
