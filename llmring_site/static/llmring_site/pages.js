// What the pages of projects do beside their links and forms.

// A second press of a slow form does nothing; the server knows the form again anyway.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});

// "Back" after a logout shows nothing from memory: the server is asked again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// A part that cannot be read says so in its place, aloud too.
for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const note = document.createElement("p");
    note.setAttribute("role", "alert");
    const reply = event.detail.xhr;
    const isText = (reply?.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    note.textContent = isText ? reply.responseText : "This part could not be read. Reload the page.";
    event.detail.elt.append(note);
  });
}
