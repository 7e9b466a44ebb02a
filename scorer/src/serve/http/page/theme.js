// Light, dark, or as the system has it; set before anything is painted.

(() => {
  const names = ["auto", "light", "dark"];
  const label = { auto: "Colours: auto", light: "Colours: light", dark: "Colours: dark" };
  const kept = () => {
    try {
      return localStorage.getItem("isolog-theme") || "auto";
    } catch {
      return "auto";
    }
  };
  const use = (name) => {
    document.documentElement.dataset.theme = names.includes(name) ? name : "auto";
    window.dispatchEvent(new Event("isolog-theme"));
  };
  use(kept());
  window.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => (button.textContent = label[document.documentElement.dataset.theme]);
    button.addEventListener("click", () => {
      const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
      try {
        localStorage.setItem("isolog-theme", next);
      } catch {
        // Private windows may forbid it: the choice then lasts as long as the page.
      }
      use(next);
      say();
    });
    say();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => window.dispatchEvent(new Event("isolog-theme")));
})();
