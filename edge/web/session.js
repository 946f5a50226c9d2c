// When a session ends, read from the session token in its URL (reading is no check: the edge checks), and leaving it.

export function sessionEnd(url) {
  const token = /\/v;\w+=([^/;?]+)/.exec(url || "")?.[1];
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}

// Tells the edge that the session whose playlist is at this URL stops. Goes out even while the page goes away.
export function leave(url) {
  if (url) navigator.sendBeacon(new URL("leave", url));
}

export function inWords(milliseconds) {
  if (milliseconds <= 0) return "now";
  const minutes = Math.round(milliseconds / 60000);
  if (minutes < 2) return `in ${Math.max(1, Math.round(milliseconds / 1000))} s`;
  if (minutes < 120) return `in ${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return `in ${hours} h ${minutes % 60} min`;
}
