// Buttons with `data-copies` copy the text of the element with that id, and say so beside them.
// Browsers have navigator.clipboard on https and localhost only.
for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = false;
  const shown = document.getElementById(button.dataset.copies);
  button.addEventListener("click", async () => {
    let copied = false;
    try {
      if (navigator.clipboard) { await navigator.clipboard.writeText(shown.textContent); copied = true; }
    } catch { /* refused: try the older way */ }
    if (!copied) {
      getSelection().selectAllChildren(shown);
      try { copied = document.execCommand("copy"); } catch { copied = false; }
    }
    button.nextElementSibling.textContent = copied ? "Copied" : "Not copied: the text is selected, press Ctrl+C or ⌘C";
  });
}
