// One modal dialog, filled anew each time, and short messages that pass. The browser's <dialog> keeps the focus in.

import { h } from "/ui/shared/dom.js";

const TOAST_MS = 5000;
const dialog = () => document.getElementById("dialog");

/** Opens the dialog with these children; the first heading names it. */
export function openDialog(title, ...children) {
  dialog().replaceChildren(h("div", { class: "stack" }, h("h2", { id: "dialog-title" }, title), ...children));
  if (!dialog().open) dialog().showModal();
}

export function closeDialog() {
  dialog().close();
}

/** A button that only closes. */
export function closeButton(text = "Cancel") {
  return h("button", { type: "button", onClick: closeDialog }, text);
}

/** Asks before something that cannot be undone; answers true or false. */
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => {
    let sure = false;
    const yes = () => {
      sure = true;
      closeDialog();
    };
    openDialog(
      title,
      h("p", { class: "muted" }, text),
      h("div", { class: "buttons" }, closeButton("Keep it"),
        h("button", { type: "button", class: "danger solid", onClick: yes }, action)),
    );
    dialog().addEventListener("close", () => resolve(sure), { once: true });
  });
}

/** A sentence in the corner for some seconds; `kind` "bad" for a refusal. */
export function toast(sentence, kind = "") {
  const element = h("div", { class: `toast ${kind}` }, sentence);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}

/** A read-only line with a button that copies it. */
export function copyField(label, text, id) {
  const input = h("input", { type: "text", id, value: text, readOnly: true, onFocus: () => input.select() });
  const button = h("button", { type: "button" }, "Copy");
  button.setAttribute("aria-label", `Copy ${label.toLowerCase()}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copied(input)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return h("div", { class: "field" }, h("label", { htmlFor: id }, label), h("div", { class: "copy" }, input, button));
}

async function copied(input) {
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    return false; // no permission, or not a secure page: the text is selected for the keyboard
  }
}
