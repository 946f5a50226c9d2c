// Taking back: one session, the link it came by, or everything its viewer has.

import { closeButton, closeDialog, openDialog, toast } from "/ui/dialogs.js";
import { request } from "/ui/shared/api.js";
import { h } from "/ui/shared/dom.js";

export function revokeDialog(session, refresh) {
  const options = [["sid", session.sid, "This session only"]];
  if (session.lid) options.push(["lid", session.lid, "The link, and all sessions opened by it"]);
  if (session.viewer) {
    options.push(["sessions", session.viewer, `All sessions viewer ${session.viewer} has now; links stay good`]);
    options.push(["viewer", session.viewer, `Everything of viewer ${session.viewer}, links too`]);
  }
  const error = h("p", { class: "note bad", role: "alert", hidden: true });
  const submit = h("button", { class: "danger solid" }, "Revoke");
  const form = h(
    "form",
    {},
    h("fieldset", {}, h("legend", {}, "What to take back"), options.map(([kind, , text], index) =>
      h("label", { class: "choice" }, h("input", { type: "radio", name: "kind", value: kind, checked: index === 0 }), text))),
    h("p", { class: "muted small" }, "Playback stops on every edge within ten seconds. This cannot be undone."),
    error,
    h("div", { class: "buttons" }, closeButton(), submit),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const [kind, value] = options.find(([name]) => name === form.elements.kind.value);
    try {
      if (kind === "sessions") await request("POST", "/api/sessions/end", { viewer: value });
      else await request("POST", "/api/revocations", { kind, value });
      closeDialog();
      toast("Revoked. Playback stops within ten seconds.");
      refresh();
    } catch (refused) {
      error.hidden = false;
      error.textContent = refused.message;
    }
    submit.disabled = false;
  });
  openDialog("Revoke", form);
}
