// Theme, copy buttons, and words for requests that fail. Every page works without it.
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

  // --- search: / puts the cursor into the field, unless something is being typed ---

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    const active = document.activeElement;
    if (active && active.matches("input, textarea, select, [contenteditable]")) return;
    const fields = [...document.querySelectorAll("[data-search]")];
    const field = fields.find((one) => one.offsetParent !== null);
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
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

  document.addEventListener("htmx:responseError", (event) =>
    explain(event, "The tags could not be fetched."),
  );
  document.addEventListener("htmx:sendError", (event) =>
    explain(event, "This site does not answer."),
  );

  applyTheme(storedTheme());
  document.addEventListener("DOMContentLoaded", () => applyTheme(storedTheme()));
  window.addEventListener("storage", () => applyTheme(storedTheme()));
})();
