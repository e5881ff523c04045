// Behavior that the pages of projects add to their links and forms.

// A form is sent once however often it is clicked; the server would recognize the second anyway.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});

// "Back" after a logout must not show the page that the browser kept in memory.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// A part that fails to load says so in its place, to screen readers too.
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
