"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, text = "") => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
};
const options = (select, pairs) => select.replaceChildren(...pairs.map(([value, name]) => {
  const option = make("option", {}, name);
  option.value = value;
  return option;
}));

const openTarget = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
};
window.addEventListener("hashchange", openTarget);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.hash === location.hash) openTarget();
});
openTarget();

(() => {
  const root = document.documentElement;
  const wanted = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wanted.matches);
  const showTheme = () => {
    $("theme").setAttribute("aria-pressed", String(isDark()));
    $("theme").textContent = isDark() ? "Light" : "Dark";
  };
  $("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  wanted.addEventListener("change", showTheme);
  showTheme();
  $("print").addEventListener("click", () => window.print());
})();
