// Which language is heard, and which is read: menus that show only where there is a choice, and the captions button.
// A player offers `sounds` and `texts` (names), `sound` and `text` (numbers; -1: none), `chooseSound`, `chooseText`.

const $ = (id) => document.getElementById(id);

export function createTracks(player) {
  let last = 0; // the captions shown last: the button brings them back

  function fill(list, names, current) {
    if (names.length !== list.options.length || names.some((name, n) => list.options[n].textContent !== name)) {
      list.replaceChildren(...names.map((name, number) => new Option(name, String(number))));
    }
    if (current >= 0) list.value = String(current);
  }

  function show() {
    const { sounds = [], sound = -1, texts = [], text = -1 } = player() || {};
    if (text >= 0) last = text;
    if (last >= texts.length) last = 0;
    fill($("sound"), sounds, sound);
    fill($("texts"), texts, last);
    $("sound").parentElement.hidden = sounds.length < 2;
    $("cc").hidden = texts.length === 0;
    $("texts").parentElement.hidden = texts.length < 2 || text < 0;
    $("cc").setAttribute("aria-pressed", String(text >= 0));
  }

  function toggle() {
    const now = player();
    if (!now?.texts?.length) return;
    now.chooseText(now.text >= 0 ? -1 : last);
    show();
  }

  $("cc").addEventListener("click", toggle);
  $("sound").addEventListener("change", () => player()?.chooseSound(Number($("sound").value)));
  $("texts").addEventListener("change", () => { player()?.chooseText(Number($("texts").value)); show(); });
  return { show, toggle };
}
