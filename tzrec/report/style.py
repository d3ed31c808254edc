"""Style sheet of reports: light and dark, narrow and wide screens, print. No font and no image is loaded."""

from __future__ import annotations

_LIGHT = """
--back: #ffffff; --card: #f6f7f9; --ink: #1b1f24; --soft: #57606a; --rule: #d8dee4;
--c0: #0b61a4; --c1: #b84a00; --c2: #00795c; --c3: #8f3f97; --c4: #7a5c00; --c5: #a11d33; --train: #b7c4d1;
--shade: rgb(0 0 0 / .2);
"""
_DARK = """
--back: #14171b; --card: #1d2126; --ink: #e8eaed; --soft: #a3acb7; --rule: #363c44;
--c0: #6cb6ff; --c1: #ff9a57; --c2: #4fd1a5; --c3: #d8a2e0; --c4: #e3c455; --c5: #ff8a9a; --train: #4d5966;
--shade: rgb(255 255 255 / .25);
"""
"""Colors of lines have a contrast of at least 4.5 to the background, and differ in lightness too."""

STYLE = (
    f":root {{ color-scheme: light dark; {_LIGHT} }}"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}"
    f"@media print {{ :root {{ color-scheme: light; {_LIGHT} }} }}"
    + "".join(
        f".s{index} {{ --color: var(--c{index}); }} .t{index} {{ fill: var(--c{index}); background: var(--c{index}); }}"
        for index in range(6)
    )
    + """
.t6 { fill: var(--soft); background: var(--soft); } .t7 { fill: var(--train); background: var(--train); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1360px; margin: 0 auto; padding: 1.2rem clamp(.8rem, 3vw, 2.5rem) 4rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .5rem; }
p { margin: .3rem 0; max-width: 75ch; overflow-wrap: anywhere; } a { color: var(--c0); }
.note, header p { color: var(--soft); font-size: .87rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 1rem 0 0; font-size: .9rem; }
.tiles { list-style: none; padding: 0; margin: 1rem 0 0; display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fit, minmax(min(45%, 150px), 1fr)); }
.tiles li { background: var(--card); border-radius: 8px; padding: .6rem .8rem; display: flex; flex-direction: column; }
.tiles span, .tiles small { color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
.tiles b { font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); }
.figures:has(> :nth-child(4):last-child) { max-width: 860px; }
.columns { display: grid; gap: 0 2.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 700px), 1fr)); }
.columns > div { min-width: 0; }
figure { margin: 0; background: var(--card); border-radius: 8px; padding: .7rem .8rem; min-width: 0;
  break-inside: avoid; }
figcaption { font-weight: 600; font-size: .92rem; margin-bottom: .3rem; overflow-wrap: anywhere; }
svg { display: block; } svg.chart, svg.bars { width: 100%; max-width: 620px; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); }
svg text.end { text-anchor: end; } svg text.center { text-anchor: middle; }
svg text.middle { dominant-baseline: middle; } svg text.name { fill: var(--soft); }
.grid { stroke: var(--rule); } .line { fill: none; stroke: var(--color); stroke-width: 2; }
.point { fill: var(--color); } rect.s0 { fill: var(--color); }
.area { fill: var(--color); fill-opacity: .22; stroke: var(--color); stroke-width: 1.6; }
.best { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.epoch { stroke: var(--soft); stroke-dasharray: 1 3; } .checkpoint { fill: var(--soft); }
.diagonal { stroke: var(--soft); stroke-dasharray: 4 4; } .whisker { stroke: var(--c0); stroke-opacity: .55; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; padding: 0; margin: .3rem 0 0;
  font-size: .85rem; overflow-wrap: anywhere; }
.legend li { display: flex; align-items: center; gap: .35rem; } .legend b { font-variant-numeric: tabular-nums; }
.swatch { width: 22px; height: 10px; flex: none; }
.box { width: .8em; height: .8em; border-radius: 2px; flex: none; } .box[class*=" s"] { background: var(--color); }
svg.stack { width: 100%; height: 22px; border-radius: 4px; overflow: hidden; }
svg.small { width: 120px; height: 26px; } .train { fill: var(--train); }
.meter { display: flex; align-items: center; gap: .4rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.meter i { display: inline-block; height: .7em; background: var(--c0); border-radius: 2px; }
.meter small { color: var(--soft); }
.scroll + .figures { margin-top: .9rem; }
.scroll { overflow-x: auto; background:
  linear-gradient(90deg, var(--back) 30%, transparent) 0 / 3rem 100% no-repeat local,
  linear-gradient(-90deg, var(--back) 30%, transparent) 100% / 3rem 100% no-repeat local,
  linear-gradient(90deg, var(--shade), transparent) 0 / .8rem 100% no-repeat scroll,
  linear-gradient(-90deg, var(--shade), transparent) 100% / .8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .88rem; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid var(--rule); }
th { white-space: nowrap; }
th { min-width: 4.5em; color: var(--soft); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; } td.number { white-space: nowrap; } td.long { min-width: 24ch; }
td { font-variant-numeric: tabular-nums; }
td small { white-space: nowrap; }
.items { margin: .3rem 0; padding-left: 1.2rem; max-width: 100ch; overflow-wrap: anywhere; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--c0); }
pre { overflow-x: auto; font: 12px/1.4 ui-monospace, monospace; background: var(--card); padding: .7rem;
  border-radius: 8px; }
.warn { color: var(--c5); font-weight: 600; }
@media print {
  body { font-size: 10pt; } main { max-width: none; padding: 0 1px; } nav { display: none; }
  .figures { grid-template-columns: repeat(2, 1fr); } .columns { display: block; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tiles li, tr, figure { break-inside: avoid; } h2, h3, figcaption { break-after: avoid; }
  .tiles li, figure, pre { border: 1px solid var(--rule); } .scroll { overflow: visible; background: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; } table { font-size: 8pt; }
  td, th { padding-right: .5rem; white-space: normal; }
  .bars, .stack, .box, .meter i, .train { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
)
