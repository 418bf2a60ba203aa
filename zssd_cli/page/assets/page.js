"use strict";
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const scenes = JSON.parse(document.getElementById("scenes").textContent);
  const get = (id) => document.getElementById(id);
  const [variable, time, left, right, divide] = ["variable", "time", "left", "right", "divide"].map(get);
  const under = get("under"), over = get("over"), said = get("said");
  const find = (layer) =>
    scenes.find((s) => s.variable === variable.value && s.time === time.value && s.layer === layer);
  const fill = (select, values) => {
    const before = select.value;
    select.replaceChildren(...values.map((v) => new Option(v, v)));
    if (values.includes(before)) select.value = before;
  };
  const layers = () => {
    const here = scenes.filter((s) => s.variable === variable.value && s.time === time.value).map((s) => s.layer);
    fill(left, here);
    fill(right, here);
  };
  const show = () => {
    const a = find(left.value), b = find(right.value);
    if (!a || !b) return;
    under.src = b.src; under.alt = b.alt; over.src = a.src; over.alt = a.alt;
    get("edge").style.left = `${divide.value}%`;
    over.style.clipPath = `inset(0 ${100 - divide.value}% 0 0)`;
    divide.setAttribute("aria-valuetext", `${divide.value} percent ${left.value}, the rest ${right.value}`);
    said.textContent = `Left of the line: ${left.value}. Right of it: ${right.value}. ${variable.value}, ${time.value}.`;
  };
  const step = (select, by) => {
    const count = select.options.length;
    select.selectedIndex = (select.selectedIndex + by + count) % count;
    if (select === time || select === variable) layers();
    show();
  };
  for (const one of [variable, time]) one.addEventListener("change", () => { layers(); show(); });
  for (const one of [left, right]) one.addEventListener("change", show);
  divide.addEventListener("input", show);
  get("next-time").addEventListener("click", () => step(time, 1));
  get("next-left").addEventListener("click", () => step(left, 1));
  get("next-right").addEventListener("click", () => step(right, 1));
  get("swap").addEventListener("click", () => { [left.value, right.value] = [right.value, left.value]; show(); });
  viewer.addEventListener("keydown", (event) => {
    if (/^(SELECT|INPUT)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { t: [time, 1], T: [time, -1], l: [left, 1], L: [left, -1], r: [right, 1], R: [right, -1], v: [variable, 1] };
    if (keys[event.key]) { step(...keys[event.key]); event.preventDefault(); }
  });
  layers();
  const has = [...left.options].map((o) => o.value);
  left.value = has.includes("member 0") ? "member 0" : has[0];
  right.value = has.includes("reference") ? "reference" : has[has.length - 1];
  viewer.hidden = false;
  show();
})();
