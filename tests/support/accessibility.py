"""What is run in a page: axe-core, and which elements are cut off at the right."""

from pathlib import Path

import pytest

axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")

AXE = Path(axe.__file__).with_name("axe.min.js")
CUT = """() => [...document.querySelectorAll('body *')].filter((e) => {
  const box = e.getBoundingClientRect();
  if (!box.width || box.right <= innerWidth + 1) return false;
  for (let up = e.parentElement; up; up = up.parentElement)
    if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(up).overflowX)) return false;
  return true;
}).map((e) => e.tagName + '.' + (e.getAttribute('class') ?? '') + ': ' + e.textContent.trim().slice(0, 60))"""
RUN_AXE = """async ([where, ...rules]) => {
  const only = rules.length ? { runOnly: rules } : {};
  const found = await axe.run(document, { resultTypes: ['violations'], ...only });
  return found.violations.flatMap((fault) => fault.nodes.map((node) =>
    `${where}: ${fault.id}: ${node.html.slice(0, 160)}: ${[...node.any, ...node.all, ...node.none][0]?.message}`));
}"""
