// Requests to the page's own server. A refusal becomes an Error whose message is the sentence the server wrote.

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const UNREACHABLE = "The server cannot be reached. Check that Sluice is running.";

/** The parsed JSON answer, or null when there is none. Throws Refusal. */
export async function request(method, path, body) {
  const options = { method, headers: { accept: "application/json" } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refusal(0, "unreachable", UNREACHABLE);
  }
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  throw refusal(response.status, text);
}

/** The Refusal that a status and a problem body mean. */
export function refusal(status, text) {
  try {
    const problem = JSON.parse(text);
    if (typeof problem.message === "string") return new Refusal(status, problem.code, problem.message);
  } catch {
    // not JSON: a proxy's page, or nothing
  }
  return new Refusal(status, "unreadable", status ? `The server answered ${status}.` : UNREACHABLE);
}
