// The console: signs in, asks for the state once a second while the page is visible, and for the edges, which may
// be slow to answer, beside it; hands both to the parts of the page.

import { renderAssets } from "/ui/assets.js";
import { toast } from "/ui/dialogs.js";
import { renderEdges } from "/ui/edges.js";
import { purgeDialog } from "/ui/purge.js";
import { renderSessions } from "/ui/sessions.js";
import { request } from "/ui/shared/api.js";
import { setText } from "/ui/shared/dom.js";
import { uploadArea } from "/ui/shared/uploader.js";
import { renderZones } from "/ui/zones.js";

const POLL_MS = 1000;
const part = (id) => document.getElementById(id);
const EDGES_MS = 2000;
let timer = 0;
let edgesTimer = 0;

async function refresh() {
  clearTimeout(timer);
  try {
    show(await request("GET", "/api/state"));
  } catch (error) {
    if (error.status === 401) return signIn();
    health("bad", "Offline");
    trouble([error.message]);
  }
  if (!document.hidden) timer = setTimeout(refresh, POLL_MS);
}

async function refreshEdges() {
  clearTimeout(edgesTimer);
  try {
    const { edges, zones } = await request("GET", "/api/edges");
    renderEdges(edges);
    renderZones(zones);
  } catch (error) {
    if (error.status === 401) return; // signing in starts it again; other trouble `refresh` tells of
  }
  if (!document.hidden) edgesTimer = setTimeout(refreshEdges, EDGES_MS);
}

function show(state) {
  if (part("console").hidden) refreshEdges();
  part("gate").hidden = true;
  part("console").hidden = false;
  renderAssets(state.assets, state.edges, refresh);
  renderSessions(state.sessions, state.assets, state.now, refresh);
  trouble(state.problems);
  health(state.problems.length ? "warn" : "ok", state.problems.length ? "Partly running" : "Running");
}

function trouble(sentences) {
  part("trouble").hidden = !sentences.length;
  setText(part("trouble"), sentences.join(" "));
}

function health(kind, text) {
  part("health").className = `pill ${kind}`;
  setText(part("health"), text);
}

function signIn(message = "") {
  clearTimeout(timer);
  clearTimeout(edgesTimer);
  part("console").hidden = true;
  part("gate").hidden = false;
  part("login-error").hidden = !message;
  setText(part("login-error"), message);
  part("token").focus();
}

async function login(token) {
  try {
    await request("POST", "/login", { token });
  } catch (error) {
    return signIn(error.message);
  }
  part("token").value = "";
  return refresh();
}

part("login").addEventListener("submit", (event) => {
  event.preventDefault();
  login(part("token").value.trim());
});

part("logout").addEventListener("click", async () => {
  await request("POST", "/logout").catch((error) => toast(error.message, "bad"));
  signIn();
});

part("purge").addEventListener("click", () => purgeDialog());

document.addEventListener("visibilitychange", () => {
  if (document.hidden || !part("gate").hidden) return;
  refresh();
  refreshEdges();
});

uploadArea(part("drop"), part("uploads"), { onAccepted: () => refresh() });

// A link such as /#token=… signs in; the token leaves the address bar and the history before anything else happens.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  history.replaceState(null, "", location.pathname);
  login(token);
} else {
  refresh();
}
