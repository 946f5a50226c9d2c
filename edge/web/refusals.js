// Why something was refused, as a code and as a sentence for the viewer. The codes are the edge's problem codes; that
// of a limit says which one behind a colon.

const SENTENCES = {
  expired: ["This link has expired.", "Ask the site that gave it to you for a new one.", false],
  limit: ["This link has reached one of its limits.", "Ask the site that gave it to you for a new one.", true],
  "limit:once": ["This link was good for one opening, and has been opened.", "Ask the site that gave it to you for a new one.", false],
  "limit:opens": ["This link was opened too often within a minute.", "Wait a moment, then try again.", true],
  "limit:streams": ["This is playing on as many devices as it may.", "Stop one of them, wait half a minute, then try again.", true],
  "limit:asset": ["As many people are watching this as may at once.", "Wait a while, then try again.", true],
  "limit:budget": ["This link has delivered as much as it may.", "Ask the site that gave it to you for a new one.", false],
  "limit:device": ["This link is good only in the browser that opened it first.", "Open it there, or ask for a new one.", false],
  "limit:country": ["This link is not good in the country you are in.", "Ask the site that gave it to you.", false],
  revoked: ["This link was withdrawn by its publisher.", "Ask the site that gave it to you.", false],
  forbidden: ["This link does not open anything here.", "It may be cut off or altered. Copy it once more, whole.", false],
  unavailable: ["The server is busy or being repaired.", "Your link is fine. Try again in a moment.", true],
  unreachable: ["The server cannot be reached.", "Check your connection, then try again.", true],
  protection: ["This browser cannot decrypt the film.", "Use a current Chrome, Edge or Firefox, or the film's ordinary link.", true],
  drm: ["This film plays on its publisher's own page.", "Its keys come from a DRM provider, whom this page does not know.", false],
  not_offered: ["This film does not have the protection asked for.", "Open its ordinary link.", false],
  media: ["This browser could not play the film.", "Try another browser, or update this one.", true],
  unsupported: ["This browser cannot play streams.", "Use a current Firefox, Chrome, Edge or Safari.", false],
  saving: ["This browser cannot decrypt a download here.", "Open the link by https, in a current browser and no private window, or use “sluice fetch” with it.", true],
  changed: ["What came is not the file: it was changed or cut on its way.", "Nothing was kept. Try again; if it stays so, tell the site that gave you the link.", true],
  unbegun: ["The browser did not begin the download.", "Try again. If it stays so, see whether the browser lets this site save files, or use “sluice fetch” with the link.", true],
  stopped: ["The browser stopped the download.", "Nothing was kept. Keep this page open until it is done.", true],
  unknown: ["The film was refused.", "Ask the site that gave you the link.", true],
};

export function sentenceFor(code) {
  const [sentence, hint, again] = SENTENCES[code] || SENTENCES[code.split(":")[0]] || SENTENCES.unknown;
  return { sentence, hint, again };
}

// The code in a refusal's JSON body.
export function codeIn(problem) {
  if (!problem?.code) return "unknown";
  return problem.limit ? `${problem.code}:${problem.limit}` : problem.code;
}

// The refusal code in an hls.js error, or null when it is no refusal. 403 is final, from whatever it came.
export function refusalOf(data) {
  if (data.response?.code !== 403) return null;
  const details = data.networkDetails;
  try {
    const body = details?.response instanceof ArrayBuffer ? new TextDecoder().decode(details.response)
      : typeof details?.response === "string" ? details.response : details?.responseText;
    return codeIn(JSON.parse(body));
  } catch {
    return "unknown";
  }
}
