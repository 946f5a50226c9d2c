// Purging: what edges keep of a zone's answers goes, or is stale.

import { closeButton, closeDialog, openDialog, toast } from "/ui/dialogs.js";
import { request } from "/ui/shared/api.js";
import { h, setText } from "/ui/shared/dom.js";

const KINDS = [
  ["url", "One path, with its query", "Path or URL", "/img/a.jpg", (value) => value],
  ["prefix", "All paths that begin so", "Path or URL", "/img/", (value) => `all that begins with ${value}`],
  ["key", "All with a surrogate key", "Surrogate key", "article-7", (value) => `all with the key ${value}`],
  ["zone", "Everything of the zone", "", "", () => "everything"],
];
const UNDER = /^\/z\/([^/]+)(\/.*)$/; // where edges have a zone: /z/press/a.jpg

/** Opens the form; `chosen` is the zone it begins with. */
export function purgeDialog(chosen = "") {
  const zone = h("input", { type: "text", id: "purge-zone", value: chosen, required: true, autocomplete: "off", spellcheck: false });
  zone.setAttribute("list", "zone-names");
  const kind = h("select", { id: "purge-kind" }, KINDS.map(([name, text]) => h("option", { value: name }, text)));
  const value = h("input", { type: "text", id: "purge-value", autocomplete: "off", spellcheck: false });
  const label = h("label", { htmlFor: "purge-value" });
  const field = h("div", { class: "field" }, label, value);
  const soft = h("input", { type: "checkbox", id: "purge-soft" });
  const warning = h("p", { class: "note" });
  const error = h("p", { class: "note bad", role: "alert", hidden: true });
  const submit = h("button", { class: "danger solid" }, "Purge");
  const row = () => KINDS.find(([name]) => name === kind.value);
  const choose = () => {
    const [name, , title, example] = row();
    setText(label, title);
    value.placeholder = example;
    field.hidden = name === "zone";
    value.required = !field.hidden;
    warning.hidden = name !== "zone" || soft.checked;
    setText(warning, `The origin of ${zone.value || "the zone"} will be asked for all of it again. Softly, what is stale is served while it is renewed.`);
  };
  for (const each of [kind, soft, zone]) each.addEventListener("input", choose);
  choose();
  const form = h(
    "form",
    {},
    h("div", { class: "field" }, h("label", { htmlFor: "purge-zone" }, "Zone"), zone),
    h("div", { class: "field" }, h("label", { htmlFor: "purge-kind" }, "What is to be purged"), kind),
    field,
    h("label", { class: "choice" }, soft, "Softly: it is validated, or served while it is renewed"),
    warning,
    error,
    h("div", { class: "buttons" }, closeButton(), submit),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    error.hidden = true;
    try {
      const [name, , , , said] = row();
      const named = placed(name, zone.value.trim(), value.value.trim());
      const told = await request("POST", "/api/purges", { ...named, kind: name, soft: soft.checked });
      if (told?.warning) throw new Error(told.warning);
      closeDialog();
      toast(`Purged${soft.checked ? " softly" : ""}: ${said(named.value)} of ${named.zone}. Every edge has heard of it within a second.`);
    } catch (refused) {
      error.hidden = false;
      setText(error, refused.message);
    }
    submit.disabled = false;
  });
  openDialog("Purge", form);
}

/** {zone, value} of what was written: a whole URL of an edge says in which zone it is. */
function placed(kind, zone, text) {
  if (kind === "zone") return { zone, value: "" };
  if (kind === "key" || !/^https?:\/\//.test(text)) return { zone, value: text };
  const url = URL.canParse(text) ? new URL(text) : { pathname: text, search: "" };
  const [, named, path] = url.pathname.match(UNDER) ?? [null, zone, url.pathname];
  if (named !== zone) throw new Error(`This URL is in zone ${named}, not in ${zone}.`);
  return { zone, value: path + url.search };
}
