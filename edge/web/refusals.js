// Why something was refused, as a code and as a sentence for the viewer. The codes are the edge's problem codes.

const SENTENCES = {
  expired: ["This link has expired.", "Ask the site that gave it to you for a new one.", false],
  limit: ["This link has been opened as often as it may be.", "It may be in use on another device. Close it there, or ask for a new link.", true],
  revoked: ["This link was withdrawn by its publisher.", "Ask the site that gave it to you.", false],
  forbidden: ["This link does not open anything here.", "It may be cut off or altered. Copy it once more, whole.", false],
  unavailable: ["The server is busy or being repaired.", "Your link is fine. Try again in a moment.", true],
  unreachable: ["The server cannot be reached.", "Check your connection, then try again.", true],
  media: ["This browser could not play the film.", "Try another browser, or update this one.", true],
  unsupported: ["This browser cannot play streams.", "Use a current Firefox, Chrome, Edge or Safari.", false],
  unknown: ["The film was refused.", "Ask the site that gave you the link.", true],
};

export function sentenceFor(code) {
  const [sentence, hint, again] = SENTENCES[code] || SENTENCES.unknown;
  return { sentence, hint, again };
}

// The refusal code in an hls.js error, or null when it is no refusal. 403 is final, from whatever it came.
export function refusalOf(data) {
  if (data.response?.code !== 403) return null;
  const details = data.networkDetails;
  try {
    const body = details?.response instanceof ArrayBuffer ? new TextDecoder().decode(details.response)
      : typeof details?.response === "string" ? details.response : details?.responseText;
    return JSON.parse(body).code || "unknown";
  } catch {
    return "unknown";
  }
}
