"""How every page looks; its figures are in the house style of hil.figures."""

PAGE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5c5c5c; --line: #d8d8d8; --paper: #fff;
  --tint: #f5f5f3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a3a3a3; --line: #3d3d3d; --paper: #1b1b1b; --tint: #262626; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 3rem; max-width: 47rem; background: var(--paper);
  color: var(--ink);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.65rem; line-height: 1.2; margin: 0; font-weight: 600; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line);
  font-weight: 600; }
h3 { font-size: .95rem; margin: 1.4rem 0 .4rem; font-weight: 600; }
p { margin: .5rem 0; }
.lead, figcaption, .missing { color: var(--soft); }
.status { font-size: .8rem; font-weight: 600; padding: .1rem .55rem; border-radius: 1rem;
  border: 1px solid currentColor;
  margin-left: .6rem; vertical-align: middle; display: inline-block; white-space: nowrap; }
.finished { color: #00805d; } .running, .stopped { color: #0072b2; } .failed, .interrupted { color: #d55e00; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: baseline; padding: .22rem .8rem .22rem 0;
  border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); }
.wide { overflow-x: auto; }
.number th, .number td { white-space: nowrap; overflow-wrap: normal; }
.number td, .number thead th { text-align: right; }
.number thead th { white-space: normal; vertical-align: bottom; }
.number thead th:first-child { text-align: left; }
.number td:last-child, .number th:last-child { padding-right: 0; }
.claims th { white-space: nowrap; }
.events th, .events td { white-space: nowrap; } .events td:last-child { white-space: normal; width: 100%; }
.settings th, .settings td { padding-top: .1rem; padding-bottom: .1rem; font-size: .9em; }
.settings th { width: 38%; }
.settings td { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .82em; }
.facts { display: grid; grid-template-columns: repeat(4, 1fr); gap: 0 1.2rem; margin: 1.2rem 0 0; }
.facts div { border-top: 1px solid var(--line); padding: .45rem 0 .6rem; min-width: 0;
  overflow-wrap: anywhere; }
.facts dt { color: var(--soft); font-size: .82rem; }
.facts dd { margin: 0; font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
figure { margin: .9rem 0 1.4rem; break-inside: avoid; }
figure svg { display: block; width: 100%; min-width: 40rem; height: auto; background: #fff;
  border-radius: 3px; }
figure svg text { font-family: "DejaVu Sans", Verdana, Arial, sans-serif !important; }
figcaption { font-size: .85rem; margin-top: .45rem; }
figcaption b { color: var(--ink); font-weight: 600; }
pre { background: var(--tint); padding: .7rem .9rem; overflow-x: auto; border-radius: 3px; margin: .5rem 0;
  font: .82rem/1.45 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media screen and (max-width: 36rem) {
  .facts { grid-template-columns: repeat(2, 1fr); }
  .number { font-size: .72rem; }
  .number th, .number td { padding-right: .4rem; }
  .number tbody th { white-space: normal; }
}
@page { size: A4; margin: 15mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --tint: #f4f4f4; }
  body { padding: 0; max-width: none; font-size: 9pt; }
  .wide { overflow: visible; } figure svg { min-width: 0; }
  h2, h3 { break-after: avoid; } tr, pre { break-inside: avoid; } thead { display: table-header-group; }
}
"""
