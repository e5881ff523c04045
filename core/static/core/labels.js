// Accessible names for fields to which the scripts and inlines of Django's admin give none.
(() => {
  const isNamed = (field) => field.labels?.length || field.getAttribute("aria-label") || field.title;
  const header = (field) => {
    const cell = field.closest("td");
    return cell?.dataset.label || cell?.className.match(/field-(\w+)/)?.[1].replaceAll("_", " ");
  };
  const label = () => {
    for (const icon of document.querySelectorAll(".help-tooltip[aria-label]")) {
      icon.setAttribute("role", "img");
    }
    for (const field of document.querySelectorAll("td :is(select, input, textarea)")) {
      const name = header(field);
      if (name && field.type !== "hidden" && !isNamed(field)) field.setAttribute("aria-label", name);
    }
    for (const box of document.querySelectorAll(".select2-selection")) {
      const field = box.closest(".select2-container").previousElementSibling;
      const name = field?.labels?.[0]?.textContent.trim() || field?.getAttribute("aria-label");
      if (!name) continue;
      // By default its name is its chosen value, which may be empty.
      box.querySelector("[role=textbox]")?.setAttribute("aria-label", name);
      box.setAttribute("aria-label", name);
      box.removeAttribute("aria-labelledby");
    }
  };
  // After the scripts that make them, which wait for the same events.
  for (const event of ["load", "formset:added"]) {
    window.addEventListener(event, () => setTimeout(label));
  }
})();
