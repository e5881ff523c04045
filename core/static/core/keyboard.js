// unfold opens its menu and its filters by clicks on a span and on a link that leads nowhere:
// this makes buttons of them for the keyboard, too.
(() => {
  const MENU = 'span[x-on\\:click*="sidebarMobileOpen"]';
  const FILTERS = 'a[x-on\\:click="filterOpen = true"]';
  const FIELDS = "a[href], button, input:not([type=hidden]), select, [tabindex='0']";
  const page = () => Alpine.$data(document.body);
  let opener = null;

  const openerOf = (event) => event.target.closest?.(`${MENU}, ${FILTERS}`);
  const enterFilters = () => {
    const fields = document.querySelectorAll(`#changelist-filter :is(${FIELDS})`);
    [...fields].find((field) => field.offsetParent && field.tabIndex >= 0)?.focus();
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const icon of document.querySelectorAll(`${MENU}, ${FILTERS}`)) {
      icon.setAttribute("role", "button");
      icon.setAttribute("tabindex", "0");
      icon.setAttribute("aria-label", icon.matches(MENU) ? "Menu" : "Filters");
    }
  });
  document.addEventListener("click", (event) => { opener = openerOf(event) ?? opener; });
  document.addEventListener("keydown", (event) => {
    const icon = openerOf(event);
    if (icon && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      icon.click();
      if (icon.matches(FILTERS)) Alpine.nextTick(() => setTimeout(enterFilters));
    } else if (event.key === "Escape" && window.Alpine) {
      const { sidebarMobileOpen, filterOpen } = page();
      if (!sidebarMobileOpen && !filterOpen) return;
      page().sidebarMobileOpen = page().filterOpen = false;
      opener?.focus();
    }
  });
})();
