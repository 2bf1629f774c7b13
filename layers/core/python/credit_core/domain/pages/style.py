"""The style sheet of all pages: for a screen of any width, and for paper."""

STYLE = """
:root { color-scheme: light; --ink: #17212b; --soft: #55626f; --line: #d6dce2; --faint: #f4f6f8;
  --blue: #1f5a96; --orange: #be4e14; --green: #1a6b42; --red: #a8231b }
* { box-sizing: border-box }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100% }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.55 "Helvetica Neue", Helvetica,
  Arial, "Liberation Sans", sans-serif }
a { color: var(--blue) }
a:focus-visible, .scroll:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px }
.skip { position: absolute; left: -99rem } .skip:focus { left: 1rem; top: 1rem }
nav { position: fixed; top: 0; bottom: 0; left: max(1.25rem, calc(50vw - 37.5rem)); width: 15rem;
  overflow: auto; padding: 3.2rem 0 2rem; font-size: .875rem }
nav p { margin: 0 0 .5rem; color: var(--soft); font-weight: 600 }
nav ol { margin: 0; padding: 0 0 0 1.5rem } nav li { margin: 0; padding: .2rem 0 .2rem .2rem }
nav li::marker { color: var(--soft); font-variant-numeric: tabular-nums }
nav a { color: var(--ink); text-decoration: none } nav a:hover { text-decoration: underline }
main { max-width: 58rem; padding: 3rem 1.25rem 5rem;
  margin-left: max(18.75rem, calc(50vw - 20rem)) }
.eyebrow { margin: 0; color: var(--soft); font-weight: 600 }
h1 { font-size: 2.1rem; line-height: 1.15; margin: .15rem 0 .6rem; overflow-wrap: anywhere }
h2 { font-size: 1.45rem; line-height: 1.25; margin: 3.5rem 0 .8rem; padding-top: .9rem;
  border-top: 2px solid var(--ink) }
h2 .place { color: var(--soft); font-weight: 400; margin-right: .5rem }
p:has(+ figure), p:has(+ .beside), p:has(+ .panels) { break-after: avoid }
h2.plain { border: 0; padding: 0; margin: 2rem 0 .4rem; font-size: 1.15rem }
h3 { font-size: 1.1rem; line-height: 1.3; margin: 2.2rem 0 .4rem }
p { margin: .5rem 0 1rem; max-width: 46rem }
.about { margin: .15rem 0; color: var(--soft) } .about b { color: var(--ink) }
.note { color: var(--soft) }
.warn { border-left: 4px solid var(--orange); background: #fdf3ec; padding: .6rem .9rem }
.verdict { margin: 1.4rem 0; padding: .9rem 1.1rem; border-left: 6px solid; background:
  var(--faint);
  max-width: none }
.verdict strong { font-size: 1.15rem } .verdict ul { margin: .5rem 0 0 }
.verdict.yes { border-color: var(--green); background: #eef7f1 }
.verdict.no { border-color: var(--red); background: #fcf0ef }
.verdict.yes strong { color: var(--green) } .verdict.no strong { color: var(--red) }
ul { margin: .4rem 0 1rem; padding-left: 1.2rem; max-width: 46rem } li { margin: .25rem 0 }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 0; margin: 1.6rem 0;
  border: 1px solid var(--line); border-width: 1px 0 }
.tiles div { padding: .8rem .9rem .7rem; border-left: 1px solid var(--line) }
.tiles div:first-child { border-left: 0; padding-left: 0 }
.tiles dt { font-size: .8125rem; color: var(--soft) }
.tiles dd { margin: 0; font-variant-numeric: tabular-nums }
.tiles .value { font-size: 1.6rem; line-height: 1.25; font-weight: 600; letter-spacing: -.01em }
.tiles .note { font-size: .8125rem; line-height: 1.35 }
dl { margin: .5rem 0 1rem } main > section dl { display: grid; column-gap: 1.2rem; row-gap: .3rem;
  grid-template-columns: minmax(9rem, max-content) minmax(0, 1fr) }
dt { font-weight: 600 } .tiles dt { font-weight: 400 } dd { margin: 0; overflow-wrap: anywhere }
.lineage { font-size: .9rem }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(23rem, 100%), 1fr));
  gap: .5rem 2rem; align-items: start; margin: 1rem 0 }
.for, .not { border-top: 3px solid var(--green) } .not { border-color: var(--red) }
.for h3, .not h3 { margin-top: .7rem } .for li, .not li { margin: .45rem 0 }
figure { margin: .5rem 0 1rem; break-inside: avoid; min-width: 0 }
figcaption { font-size: .875rem; line-height: 1.45; color: var(--soft); max-width: 44rem }
svg { display: block; width: 100%; height: auto; font: 12px "Helvetica Neue", Helvetica, Arial,
  "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums }
.narrow { display: none }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15.5rem, 100%), 1fr));
  gap: 1.4rem 1.6rem; margin: 1rem 0 }
.panels figure { margin: 0; display: grid; grid-row: span 2; grid-template-rows: subgrid; gap: 0 }
.panels { row-gap: 0 } .panels svg { margin-bottom: 1.4rem }
.panels figcaption { display: grid; align-content: start; color: var(--ink);
  grid-template-columns: minmax(0, 1fr) auto; column-gap: .5rem; margin-bottom: .25rem }
.panels b { overflow-wrap: anywhere; font-size: .9375rem }
.panels .span { font-variant-numeric: tabular-nums; color: var(--soft); white-space: nowrap }
.panels small { grid-column: 1 / -1; font-size: .8125rem; line-height: 1.4 }
.inputs td:nth-child(2) { min-width: 12rem } .inputs tbody th { font-weight: 600 }
.scroll { overflow-x: auto; margin: .8rem 0 1.4rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem; line-height: 1.4;
  font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding: 0 0 .45rem }
th, td { text-align: left; vertical-align: top; padding: .36rem .8rem .36rem 0;
  border-bottom: 1px solid var(--line) }
thead th { font-size: .8125rem; font-weight: 600; color: var(--soft); vertical-align: bottom;
  border-bottom: 1px solid var(--ink) }
tbody th { font-weight: 400 } .number { text-align: right } td.number { white-space: nowrap }
th:last-child, td:last-child { padding-right: 0 }
.marked > * { font-weight: 600; background: var(--faint) }
.dense { font-size: .84rem } .dense th, .dense td { padding-right: .6rem }
.dense th:last-child, .dense td:last-child { padding-right: 0 }
td small, th small { display: block; font-size: .8em; font-weight: 400; color: var(--soft) }
.measures td.number { min-width: 7rem } .dates tbody th { white-space: nowrap } .reasons svg {
  min-width: 7rem }
.prose .marked > td { font-weight: 400 } .prose tbody th { white-space: nowrap; font-weight: 600 }
.points tbody { break-inside: avoid } .points tbody th { font-weight: 600 }
.points tr > * { padding-block: .2rem } .points tr:not(:last-child) > * { border-bottom: 0 }
.points tbody tr:last-child > * { padding-bottom: .4rem }
.pass, .fail { font-weight: 600; white-space: nowrap } .pass { color: var(--green) }
.fail { color: var(--red) } .pass::before { content: "✓ " } .fail::before { content: "✗ " }
.look { display: block; margin-top: .3rem; font-weight: 600 }
text { fill: var(--ink); paint-order: stroke; stroke: #fff; stroke-width: 3px;
  stroke-linejoin: round } text.cell { stroke: none } .middle { text-anchor: middle } .end {
  text-anchor: end }
.tick, .soft { fill: var(--soft); font-size: 11.5px } .label { fill: var(--soft) }
text.strong { font-weight: 600 }
.grid { stroke: #e6eaee; stroke-width: 1 } .axis { stroke: #8b97a3; stroke-width: 1 }
.zero { stroke: #8b97a3; stroke-width: 1 }
polyline { fill: none; stroke-linejoin: round } polyline.line, line.line { stroke: var(--blue);
  stroke-width: 2.2 }
.other { stroke: #7b8794; stroke-width: 1.3; fill: none } .other.a { stroke-dasharray: none }
.other.b { stroke-dasharray: 6 3 } .other.c { stroke-dasharray: 2 2.5 }
.other.d { stroke-dasharray: 8 3 2 3 } .other.e { stroke-dasharray: 1 4 }
.chance { stroke: #8b97a3; stroke-width: 1; stroke-dasharray: 1 3; stroke-linecap: round }
.thread { stroke: var(--blue); stroke-width: 1; opacity: .55 }
.band { fill: var(--blue); fill-opacity: .14; stroke: none }
.good { stroke: var(--blue); stroke-width: 2 } .bad { stroke: var(--orange); stroke-width: 2;
  stroke-dasharray: 7 3 }
.good.fill, .bad.fill { stroke: none } .good.fill { fill: var(--blue); fill-opacity: .13 }
.bad.fill { fill: var(--orange); fill-opacity: .15 }
.gap { stroke: var(--ink); stroke-width: 1.6 } .cutoff { stroke: var(--ink); stroke-width: 1.1;
  stroke-dasharray: 4 3 }
.whisker { stroke: var(--blue); stroke-width: 1.6 } .dot { fill: var(--blue) }
.dot.other { fill: #fff; stroke: var(--blue); stroke-width: 1.8 }
.mark { fill: var(--ink); stroke: #fff; stroke-width: 1.5 }
.bar { fill: #8fb0d0 } .bar.part { fill: var(--blue) } .bar.defaults { fill: var(--orange) }
.bar.beyond { fill: var(--orange) } .lies { fill: #d9dfe5 } .lies.faint { fill: #eef1f4 }
.stem { stroke: var(--blue); stroke-width: 2 } rect.cell { stroke: #fff; stroke-width: 1.5 }
text.cell { font-size: 11.5px } text.light { fill: #fff }
footer { margin-top: 3rem; color: var(--soft); font-size: .875rem }
@media screen and (max-width: 70rem) {
  main { margin: 0 auto; padding-top: 1.5rem }
  nav { position: static; width: auto; padding: 1.5rem 0 0 }
  nav ol { columns: 2 13rem; column-gap: 2rem } }
@media screen and (max-width: 52rem) { .tiles { grid-template-columns: repeat(3, 1fr) }
  .tiles div:nth-child(3n + 1) { border-left: 0; padding-left: 0 }
  .tiles div:nth-child(n + 4) { border-top: 1px solid var(--line) } }
@media screen and (max-width: 38rem) { .wide { display: none } .narrow { display: block }
  h1 { font-size: 1.6rem } .tiles { grid-template-columns: repeat(2, 1fr) }
  .tiles div:nth-child(n) { border-left: 1px solid var(--line); padding-left: .9rem }
  .tiles div:nth-child(2n + 1) { border-left: 0; padding-left: 0 }
  .tiles div:nth-child(n + 3) { border-top: 1px solid var(--line) }
  main > section dl { display: block } dd { margin: 0 0 .5rem }
  .prose tbody th { white-space: normal }
  .reasons :is(td, th):nth-child(3) { display: none } }
@page { size: A4; margin: 16mm 15mm 17mm;
  @bottom-right { content: counter(page) " / " counter(pages);
    font: 8pt Arial, "Liberation Sans", sans-serif; color: #55626f } }
@media print {
  body { font-size: 9.6pt; line-height: 1.42; print-color-adjust: exact;
    -webkit-print-color-adjust: exact }
  .skip { display: none } main { padding: 0; margin: 0; max-width: none }
  nav { position: static; width: auto; padding: 0; font-size: 8.4pt; line-height: 1.3;
  break-inside: avoid }
  nav p { margin: 8pt 0 2pt } nav ol { columns: 3 } nav li { padding: .6pt 0 }
  .verdict { margin: 9pt 0; padding: 7pt 9pt } .tiles { margin: 10pt 0 } h2.plain { margin-top:
  10pt }
  .for li, .not li { margin: 2.5pt 0 } .beside { margin: 5pt 0 }
  a { color: inherit; text-decoration: none }
  h1 { font-size: 21pt } h2 { font-size: 14pt; margin-top: 16pt; padding-top: 6pt; break-after:
  avoid }
  h3 { font-size: 11pt; break-after: avoid; margin-top: 14pt } h2.plain { font-size: 12pt }
  p, ul { max-width: none; orphans: 3; widows: 3 }
  p, li, h1 + p { break-inside: avoid } .verdict, .tiles, .warn { break-inside: avoid }
  .tiles { grid-template-columns: repeat(6, 1fr) } .tiles .value { font-size: 15pt }
  .tiles dt, .tiles .note { font-size: 7.6pt } .tiles div { padding: 6pt 7pt }
  .wide { display: block } .narrow { display: none }
  .beside { grid-template-columns: 1fr 1fr; gap: 4pt 16pt }
  .panels { grid-template-columns: repeat(3, 1fr); gap: 12pt 14pt }
  .panels small { font-size: 7.4pt } .panels b { font-size: 8.6pt } figcaption { font-size: 8pt }
  .scroll { overflow: visible } table { font-size: 8.2pt } .dense { font-size: 7.4pt }
  .dense th, .dense td { padding-right: 4pt } thead { display: table-header-group }
  .short, main > section > dl { break-inside: avoid } tr { break-inside: avoid }
  thead, caption, tbody tr:nth-child(-n + 2) { break-after: avoid }
  thead th { font-size: 7.6pt }
  th, td { padding-block: 2.6pt } .lineage { font-size: 8pt } }
"""
