// Light, dark or as the system says; kept, and set before the first paint so that nothing flashes.
(() => {
  const order = ["system", "light", "dark"];
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("pointsman.theme"); } catch { return null; } };
  let now = order.includes(kept()) ? kept() : "system";
  const apply = () => {
    if (now === "system") delete root.dataset.theme;
    else root.dataset.theme = now;
    const button = document.getElementById("theme");
    if (button) {
      const said = { system: "as the system", light: "light", dark: "dark" }[now];
      button.setAttribute("aria-label", `Colours: ${said}`);
      button.title = `Colours: ${said}`;
    }
    document.dispatchEvent(new Event("themechange"));
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      now = order[(order.indexOf(now) + 1) % order.length];
      try { localStorage.setItem("pointsman.theme", now); } catch { /* it lasts until the page is closed */ }
      apply();
    });
  });
})();
