// Copies a key that is shown once. Browsers have navigator.clipboard on https and localhost only.
document.getElementById("copy-key").addEventListener("click", async () => {
  const key = document.getElementById("new-key"), status = document.getElementById("copied");
  let copied = false;
  try {
    if (navigator.clipboard) { await navigator.clipboard.writeText(key.textContent); copied = true; }
  } catch { /* refused: the older way is left */ }
  if (!copied) {
    getSelection().selectAllChildren(key);
    try { copied = document.execCommand("copy"); } catch { copied = false; }
  }
  status.textContent = copied ? "Copied" : "Not copied: the key is selected, press Ctrl+C or ⌘C";
});
