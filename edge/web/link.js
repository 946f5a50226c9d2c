// The signed link in a page's fragment, which no browser sends to a server.

// The link as a URL, or null when there is none.
export function linkOf(fragment) {
  const text = fragment.replace(/^#/, "");
  if (!text) return null;
  try {
    const whole = /^https?%3a/i.test(text) ? decodeURIComponent(text) : text;
    const url = new URL(whole.replace(/%3B(\w+)%3D/i, ";$1="), location.origin); // mailers escape both
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

// What a link is to: a stream, a file as it is, or a file that leaves encrypted only. `name`: the file's in the URL.
export function targetOf(link) {
  const [, first = "", ...rest] = new URL(link).pathname.split("/");
  if (first.split(";")[0] !== "d") return { kind: "stream", name: "" };
  return { kind: rest.length === 3 && rest[1] === "ece" ? "protected" : "file", name: rest.at(-1) ?? "" };
}
