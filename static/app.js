// Theme, copy buttons, the keys of the tree, and words for requests that fail. Every page
// works without it.
(() => {
  "use strict";

  const root = document.documentElement;
  root.classList.add("js");

  // --- theme: the system's, unless another was chosen here ---

  const THEMES = ["system", "light", "dark"];

  function storedTheme() {
    try {
      const name = localStorage.getItem("theme");
      return THEMES.includes(name) ? name : "system";
    } catch {
      return "system"; // storage is switched off
    }
  }

  function applyTheme(name) {
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
    document.querySelectorAll("[data-theme-switch]").forEach((button) => {
      button.hidden = false;
      button.dataset.themeSwitch = name;
      button.querySelector("[data-theme-name]").textContent = name;
    });
  }

  function nextTheme() {
    const name = THEMES[(THEMES.indexOf(storedTheme()) + 1) % THEMES.length];
    try {
      localStorage.setItem("theme", name);
    } catch {
      // It then holds for this page only.
    }
    applyTheme(name);
    announce(`Theme: ${name}`);
  }

  // --- copy ---

  function announce(text) {
    const region = document.getElementById("announcer");
    region.textContent = "";
    // A change is announced only if the region was empty before.
    setTimeout(() => (region.textContent = text), 50);
  }

  // Without https, navigator.clipboard is absent; this way works there too.
  function copyBySelection(text) {
    const area = document.createElement("textarea");
    area.value = text;
    area.readOnly = true;
    area.className = "offscreen";
    document.body.append(area);
    const focused = document.activeElement;
    area.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
    area.remove();
    if (focused) focused.focus();
    return done;
  }

  async function copy(button) {
    const text = button.dataset.copy;
    let done = false;
    if (window.isSecureContext && navigator.clipboard) {
      done = await navigator.clipboard.writeText(text).then(
        () => true,
        () => false,
      );
    }
    done = done || copyBySelection(text);
    announce(done ? "Copied" : "Could not copy: select the text instead");
    if (!done) return;
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy !== undefined) copy(button);
    if (button.dataset.themeSwitch !== undefined) nextTheme();
  });

  // --- parts that are fetched into the page ---

  document.addEventListener("htmx:load", (event) => {
    const part = event.detail.elt;
    if (part === document.body) return;
    const words = part.matches("[data-announce]") ? part : part.querySelector("[data-announce]");
    if (words) announce(words.textContent.trim());
  });

  function explain(event, text) {
    const target = event.detail.target;
    const link = target && target.querySelector(".wait a");
    if (!link) return;
    link.textContent = "Open the image's page";
    link.parentElement.prepend(`${text} `);
    link.parentElement.classList.add("failed");
  }

  // What had the focus may not be in what comes, such as "Next" or a row's "Retry": then what
  // took its place has it, and Tab goes on from there.
  let focusWasInside = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    focusWasInside = event.detail.target.contains(document.activeElement);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const part = event.detail.elt;
    if (!focusWasInside || document.activeElement !== document.body) return;
    if (part.matches("tr")) part.querySelector("a").focus();
    else {
      part.tabIndex = -1;
      part.focus({ preventScroll: true });
    }
  });

  document.addEventListener("htmx:responseError", (event) =>
    explain(event, "The tags could not be fetched."),
  );
  document.addEventListener("htmx:sendError", (event) =>
    explain(event, "This site does not answer."),
  );

  // --- the tree: what was open stays open, in this tab ---

  function remembered(tree) {
    try {
      return JSON.parse(sessionStorage.getItem(`tree:${tree.dataset.remember}`)) || {};
    } catch {
      return {}; // storage is switched off, or holds something else
    }
  }

  function remember(node) {
    const tree = node.closest("[data-remember]");
    if (!tree || remembered(tree)[node.dataset.node] === node.open) return;
    const nodes = { ...remembered(tree), [node.dataset.node]: node.open };
    try {
      sessionStorage.setItem(`tree:${tree.dataset.remember}`, JSON.stringify(nodes));
    } catch {
      // It is then forgotten with the page.
    }
  }

  function openRemembered() {
    document.querySelectorAll("[data-remember]").forEach((tree) => {
      const nodes = remembered(tree);
      tree.querySelectorAll("details[data-node]").forEach((node) => {
        if (Object.hasOwn(nodes, node.dataset.node)) node.open = nodes[node.dataset.node];
      });
    });
  }

  // Only what a person opens is kept: a page opens folders by itself, too.
  document.addEventListener("click", (event) => {
    const summary = event.target.closest(".tree details[data-node] > summary");
    if (summary) setTimeout(() => remember(summary.parentElement));
  });
  document.addEventListener("htmx:load", openRemembered);

  // --- keys: arrows in the tree, and a slash for the search ---

  const LINE = ".tree li > .line";

  function lineLink(item) {
    return item.querySelector(":scope > .line a:last-of-type");
  }

  function visibleLinks(tree) {
    return [...tree.querySelectorAll("li")]
      .filter((item) => item.querySelector(":scope > .line") && item.checkVisibility())
      .map(lineLink);
  }

  function setOpen(node, open) {
    node.open = open;
    remember(node);
  }

  const TREE_KEYS = {
    ArrowDown: (links, at) => links[at + 1],
    ArrowUp: (links, at) => links[at - 1],
    Home: (links) => links[0],
    End: (links) => links[links.length - 1],
    ArrowRight(links, at, item) {
      const node = item.querySelector(":scope > details");
      if (node.open) return links.slice(at + 1).find((link) => item.contains(link));
      setOpen(node, true);
      return links[at];
    },
    ArrowLeft(links, at, item) {
      const node = item.querySelector(":scope > details");
      if (!node.open) return lineLink(item.parentElement.closest("li") || item);
      setOpen(node, false);
      return links[at];
    },
  };

  function moveInTree(event) {
    const part = event.target.closest(`${LINE}, .tree li > details > summary`);
    if (!part || event.target.closest(".slot")) return false;
    const item = part.closest("li");
    const links = visibleLinks(item.closest(".tree"));
    const target = TREE_KEYS[event.key](links, links.indexOf(lineLink(item)), item);
    if (target) target.focus();
    return true;
  }

  function focusSearch() {
    const own = [...document.querySelectorAll("main input[type=search]")];
    const fields = [...own, ...document.querySelectorAll("input[type=search]")];
    const field = fields.find((one) => one.offsetParent !== null);
    if (!field) return false;
    field.focus();
    field.select();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const typing = event.target.closest("input, select, textarea");
    let done = false;
    if (event.key === "/" && !typing) done = focusSearch();
    if (Object.hasOwn(TREE_KEYS, event.key) && !event.shiftKey) done = moveInTree(event);
    if (done) event.preventDefault();
  });

  applyTheme(storedTheme());
  document.addEventListener("DOMContentLoaded", openRemembered);
  document.addEventListener("DOMContentLoaded", () => applyTheme(storedTheme()));
  window.addEventListener("storage", () => applyTheme(storedTheme()));
})();
