// unfold opens its menu by a click on a span: this makes it a button for the keyboard, too.
(() => {
  const find = () => document.querySelectorAll('span[x-on\\:click*="sidebarMobileOpen"]');
  const page = () => Alpine.$data(document.body);
  let opener = null;

  document.addEventListener("DOMContentLoaded", () => {
    for (const icon of find()) {
      icon.setAttribute("role", "button");
      icon.setAttribute("tabindex", "0");
      icon.setAttribute("aria-label", "Menu");
    }
  });
  document.addEventListener("keydown", (event) => {
    const icon = [...find()].includes(event.target) ? event.target : null;
    if (icon && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      opener = icon;
      icon.click();
    } else if (event.key === "Escape" && window.Alpine && page().sidebarMobileOpen) {
      page().sidebarMobileOpen = false;
      opener?.focus();
    }
  });
})();
