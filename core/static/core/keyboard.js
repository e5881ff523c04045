// unfold opens its menus and filters by clicks on elements that are no buttons:
// this makes them buttons, which the keyboard reaches.
(() => {
  const clicked = (tag, script) => `${tag}[x-on\\:click*="${script}"]`;
  const MENU = clicked("span", "sidebarMobileOpen");
  const SIDEBAR = clicked("span", "sidebarDesktopOpen");
  const FILTERS = clicked("a", "filterOpen = true");
  const ACCOUNT = clicked("div", "openUserLinks");
  const RELATED = clicked("div", "openRelatedWidgetWrapper");
  const THEMES = clicked("a", "openTheme");
  const THEME = `${clicked("a", "switchTheme")}, ${clicked("a", "adminTheme =")}`;
  const NEW_ROW = "div.delete-template";
  const textIn = (icon, selector) => icon.querySelector(selector)?.textContent.trim();
  const NAMES = {
    [MENU]: () => "Menu",
    [SIDEBAR]: () => "Sidebar",
    [FILTERS]: () => "Filters",
    [ACCOUNT]: (icon) => `Account: ${textIn(icon, ".truncate")}`,
    [RELATED]: () => "Add, change or view",
    [THEMES]: () => "Theme",
    [THEME]: (icon) => textIn(icon, "span:last-child"),
    [NEW_ROW]: () => "Remove this new row",
  };
  const PANELS = {
    [FILTERS]: "#changelist-filter",
    [ACCOUNT]: 'nav[x-show="openUserLinks"]',
    [RELATED]: 'nav[x-show="openRelatedWidgetWrapper"]', // of each field; one is open
    [THEMES]: 'nav[x-show="openTheme"]',
  };
  const FLAGS = [
    "sidebarMobileOpen", "filterOpen", "openUserLinks", "openRelatedWidgetWrapper", "openTheme",
  ];
  const FIELDS = "a[href], button, input:not([type=hidden]), select, [tabindex='0']";
  let opener = null;

  const OPENERS = [MENU, ...Object.keys(PANELS)].join();
  const buttonOf = (event) => event.target.closest?.(Object.keys(NAMES).join());
  const enter = (panel) => {
    const fields = [...document.querySelectorAll(`${panel} :is(${FIELDS})`)];
    fields.find((field) => field.getClientRects().length && field.tabIndex >= 0)?.focus();
  };
  const close = (state) => {
    const open = FLAGS.filter((flag) => state[flag]);
    for (const flag of open) state[flag] = false;
    return open.length > 0;
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const [selector, name] of Object.entries(NAMES)) {
      for (const icon of document.querySelectorAll(selector)) {
        icon.setAttribute("role", "button");
        icon.setAttribute("tabindex", "0");
        icon.setAttribute("aria-label", name(icon));
      }
    }
  });
  document.addEventListener("click", (event) => {
    opener = event.target.closest?.(OPENERS) ?? opener;
  });
  // Before unfold's own listeners, which close a panel and lose its opener.
  document.addEventListener("keydown", (event) => {
    const icon = buttonOf(event);
    if (icon && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      icon.click();
      const panel = Object.keys(PANELS).find((selector) => icon.matches(selector));
      if (panel) Alpine.nextTick(() => setTimeout(() => enter(PANELS[panel])));
    } else if (event.key === "Escape" && window.Alpine) {
      const isClosed = [opener, document.body].map((place) => place && close(Alpine.$data(place)));
      if (isClosed.includes(true)) opener?.focus();
    }
  }, true);
})();
