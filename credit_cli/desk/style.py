"""The desk's style sheet: that of the reports, then what a desk adds; light, dark, any width."""

from credit_core.domain.pages.style import STYLE

OWN = """
:root { color-scheme: light dark; --paper: #fff; --ground: #f5f6f8; --bar: #16324f; --on-bar: #fff;
  --soft-on-bar: #b9c9da; --good-back: #e9f5ee; --bad-back: #fbeeed; --warn-back: #fdf3e6;
  --note-back: #eef4fa; --amber: #8a5300; --grid: #e6eaee; --axis: #8b97a3; --fill: #8fb0d0;
  --lies: #d9dfe5; --lies-faint: #eef1f4; --field: #7d8a97; --shadow: 0 1px 2px rgb(16 32 48 / 8%) }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #1a2129; --ground: #11161c;
  --ink: #e7ecf1; --soft: #a3b0bd; --line: #36414d; --faint: #222b35; --blue: #7db4ea;
  --orange: #f0935a; --green: #6ecb96; --red: #f28b82; --bar: #0c2136;
  --good-back: #17301f; --bad-back: #3a1f1d; --warn-back: #38290f; --note-back: #1b2b3b;
  --amber: #f0b657; --grid: #2b343e; --axis: #6f7d8b; --fill: #4d7ba8; --lies: #3a4551;
  --lies-faint: #262f39; --field: #74828f; --shadow: none } }
body { background: var(--ground); color: var(--ink); min-height: 100vh }
.skip:focus { background: var(--paper); padding: .5rem 1rem; z-index: 2 }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px }
main:focus { outline: none }

header { background: var(--bar); color: var(--on-bar); padding: 0 1rem }
header > .brand, header > nav { max-width: 72rem; margin: 0 auto }
.brand { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1rem;
  justify-content: space-between; padding: .8rem 0 .15rem }
.brand a { color: inherit; text-decoration: none } .brand b { margin-right: .35rem }
.brand a span { color: var(--soft-on-bar) }
.stage { font-size: .8125rem; border: 1px solid var(--soft-on-bar); border-radius: 1rem;
  padding: .05rem .7rem }
.stage-other .stage { background: #ffd98a; border-color: #ffd98a; color: #402900; font-weight: 600 }
.stage-prod header { background: #7c1616 }
.stage-prod .stage { background: #fff; border-color: #fff; color: #7c1616; font-weight: 700 }
.stage-prod { --soft-on-bar: #f2d0ce }
.production { max-width: none; margin: 0 -1rem; padding: .4rem 1rem; background: #ffd447;
  color: #311; font-weight: 600; text-align: center; font-size: .9375rem }
header nav { position: static; width: auto; overflow: visible; padding: 0; display: flex;
  flex-wrap: wrap; gap: 0 .25rem; font-size: 1rem }
header nav a { color: var(--soft-on-bar); text-decoration: none; padding: .55rem .75rem .5rem;
  border-bottom: 3px solid transparent }
header nav a:first-child { margin-left: -.75rem }
header nav a:hover { color: var(--on-bar); text-decoration: none }
header nav a[aria-current] { color: var(--on-bar); border-color: #fff; font-weight: 600 }
header a:focus-visible { outline-color: #fff; outline-offset: -3px }

main { max-width: 74rem; margin: 0 auto; padding: 1.6rem 1rem 4rem }
h1 { font-size: 1.75rem; margin: 0 0 .4rem } h2 { font-size: 1.15rem; margin: 0 0 .5rem; border: 0;
  padding: 0 } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
.lead { font-size: 1.05rem; margin: 0 0 1rem } .eyebrow { font-size: .875rem }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1.1rem 1.25rem 1.2rem; margin: 0 0 1.1rem; box-shadow: var(--shadow); min-width: 0 }
main > section dl:not(.tiles) { display: grid }
.card > h2 + .note { margin-top: -.25rem }
.card dl:not(.tiles):not(.figures) dd { margin-bottom: .35rem }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 1.1rem;
  align-items: start }
.columns.wide-left { grid-template-columns: minmax(0, 1.9fr) minmax(0, 1fr) }
@media screen and (max-width: 60rem) { .columns, .columns.wide-left {
  grid-template-columns: minmax(0, 1fr) } }
main nav { position: static; width: auto; overflow: visible; padding: 0 }
main p, main li, main h2, .verdict { overflow-wrap: anywhere }
.card > :last-child { margin-bottom: 0 }
.dot.bad { fill: var(--orange); stroke: none } .actions { margin: 1.2rem 0 0 }
form + .card { margin-top: 1.6rem }
.card > details:first-child { border: 0; margin: 0; padding: 0 }
.quiet { color: var(--soft) } code, pre, .mono { font: .875rem/1.5 ui-monospace, "SF Mono",
  "Liberation Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
pre { background: var(--faint); border: 1px solid var(--line); border-radius: .35rem;
  padding: .8rem 1rem; overflow: auto; max-height: 34rem; margin: .6rem 0 0 }

.notice { border-left: 5px solid var(--blue); background: var(--note-back); padding: .7rem 1rem;
  margin: 0 0 1.1rem; border-radius: 0 .35rem .35rem 0 } .notice > :last-child { margin-bottom: 0 }
.notice > p:first-child, .notice > h2:first-child { margin-top: 0 } .notice p { max-width: 60rem }
.notice ul { margin: .3rem 0 0 } .notice a { color: inherit }
.notice.warning, .warn { border-left: 5px solid var(--amber); background: var(--warn-back) }
.notice.bad { border-color: var(--red); background: var(--bad-back) }
.notice.good { border-color: var(--green); background: var(--good-back) }
.verdict.yes { background: var(--good-back) } .verdict.no { background: var(--bad-back) }
.hint { color: var(--soft) }

.outcome { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; align-items: center;
  border-left: 8px solid var(--blue); padding: 1rem 1.25rem }
.outcome > div { flex: 1 1 24rem } .outcome h1 { margin: 0 } .outcome p { margin: .15rem 0 0 }
.outcome .figures { margin-left: auto; display: flex; gap: 1.6rem; flex-wrap: wrap }
.outcome .figures div { min-width: 6rem } .outcome dt { font-weight: 400; color: var(--soft);
  font-size: .8125rem } .outcome dd { font-size: 1.6rem; font-weight: 600; line-height: 1.2;
  font-variant-numeric: tabular-nums }
main > section.outcome dl.figures { display: flex }
.outcome.approve { border-left-color: var(--green) } .outcome.approve h1 { color: var(--green) }
.outcome.decline { border-left-color: var(--red) } .outcome.decline h1 { color: var(--red) }
.outcome.refer { border-left-color: var(--amber) } .outcome.refer h1 { color: var(--amber) }
.badge { display: inline-block; font-size: .8125rem; font-weight: 600; line-height: 1.5;
  border-radius: .25rem; padding: 0 .5rem; background: var(--faint); border: 1px solid var(--line);
  white-space: nowrap }
.badge.approve, .badge.fresh { color: var(--green); background: var(--good-back);
  border-color: currentcolor } .badge.decline { color: var(--red); background: var(--bad-back);
  border-color: currentcolor }
.badge.refer, .badge.stale, .badge.missing, .badge.unreadable, .badge.unavailable {
  color: var(--amber); background: var(--warn-back); border-color: currentcolor }

form.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr));
  gap: 1.1rem 1.5rem } form > .card > .grid, .grid { display: grid; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); gap: 1.1rem 1.5rem }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0 }
legend { font-weight: 600; padding: 0; margin-bottom: .35rem }
div.grid > .field { display: flex; flex-direction: column; height: 100% }
.grid > .field > :last-child { margin-top: auto }
.field label, .field > legend { display: block; font-weight: 600; margin: 0 0 .1rem }
.field .hint { display: block; font-size: .875rem; line-height: 1.35; margin: 0 0 .35rem }
input, select, textarea, button { font: inherit; color: inherit }
input[type=text], input[type=search], input[type=date], input:not([type]), select, textarea {
  width: 100%; background: var(--paper); border: 1px solid var(--field); border-radius: .3rem;
  padding: .45rem .6rem; min-height: 2.6rem }
input[type=file] { max-width: 100% }
textarea { min-height: 6rem; resize: vertical; line-height: 1.4 }
.affixed { display: flex; align-items: stretch } .affixed input { border-radius: .3rem 0 0 .3rem }
.affixed .unit { display: flex; align-items: center; padding: 0 .7rem; white-space: nowrap;
  border: 1px solid var(--field); border-left: 0; border-radius: 0 .3rem .3rem 0;
  background: var(--faint); color: var(--soft); font-size: .875rem }
.field.wrong { border-left: 4px solid var(--red); padding-left: .75rem; margin-left: -1rem }
.field.wrong :is(input, select, textarea) { border: 2px solid var(--red) }
.fault { display: block; color: var(--red); font-weight: 600; margin: 0 0 .35rem }
form > .field { margin: 0 0 1.1rem }
.choice { display: flex; gap: .55rem; align-items: baseline; padding: .3rem 0 }
.choice input { flex: none; width: 1.1rem; height: 1.1rem; transform: translateY(.15rem);
  accent-color: var(--blue) } .choice label { font-weight: 400; margin: 0 }
.choices { columns: 20rem; column-gap: 1.5rem } .choices .choice { break-inside: avoid }
button, .button { display: inline-block; background: #1f5a96; color: #fff;
  border: 1px solid #1f5a96;
  border-radius: .3rem; padding: .5rem 1.2rem; min-height: 2.6rem; font-weight: 600;
  cursor: pointer; text-decoration: none }
button:hover, .button:hover { background: #174672 }
button.second, .button.second { background: var(--paper); color: var(--ink);
  border-color: var(--field); font-weight: 400 }
button.second:hover, .button.second:hover { background: var(--faint) }
form.inline { display: flex; flex-wrap: wrap; gap: .6rem .8rem; align-items: end; margin: .6rem 0 }
form.inline input { width: auto } form.inline .grow { flex: 1 1 14rem }
form.inline .grow input { width: 100% }
.row { display: flex; flex-wrap: wrap; gap: .6rem .8rem; align-items: center; max-width: none }
#scale svg { max-width: none !important } table + p { margin-top: .9rem }
.fresh-row { display: flex; justify-content: space-between; gap: .3rem .8rem; flex-wrap: wrap;
  align-items: baseline }

details { border-top: 1px solid var(--line); padding: .6rem 0 0; margin: .6rem 0 0 }
summary { cursor: pointer; font-weight: 600; padding: .25rem 0 } summary::marker {
  color: var(--soft) }
.card > :last-child { margin-bottom: 0 }
table { font-size: .9375rem } .scroll { margin: .4rem 0 .4rem } caption { font-weight: 400;
  color: var(--soft); font-size: .875rem } td a, th a { white-space: nowrap }
.marked > * { background: var(--faint) } thead th { border-color: var(--ink) }

.meter { position: relative; display: block; height: .6rem; margin: .25rem 0; min-width: 6rem;
  border-radius: .3rem;
  background: var(--lies-faint); border: 1px solid var(--line); overflow: hidden }
.meter span { display: block; height: 100%; background: var(--fill) }
.meter.over span { background: var(--orange) }

td.bars { position: relative; width: 40%; min-width: 7rem }
.lane { position: absolute; inset: 0 1rem 0 0 }
.lane b, .lane i { position: absolute; top: 0; bottom: -1px }
.lane b { top: calc(50% - .6rem); height: 1.2rem; bottom: auto; border-radius: .15rem }
.lane .down { background: var(--orange) } .lane .up { background: var(--blue) }
.lane .others { opacity: .55 } .lane .took { background: var(--fill) }
.lane .pin { width: 5px; margin-left: -2.5px; border-radius: 3px; background: var(--ink) }
.lane .pin.start { background: var(--axis) }
.lane .cut { width: 0; border-left: 1px dashed var(--axis) }
.lane .cut.decline { border-color: var(--red) } .lane .cut.approve { border-color: var(--green) }
.waterfall td, .waterfall th, .stages td, .stages th { vertical-align: middle;
  padding-block: .3rem } thead td { border-color: var(--ink) }
.waterfall [data-kind=end] > *, .waterfall [data-kind=start] > * { font-weight: 600 }
.waterfall [data-kind=end] > * { border-bottom: 1px solid var(--ink); padding-block: .6rem }
.stages tbody th { width: 45% } .stages tr:last-child > * { border-bottom: 0 }
.bars { padding-right: 1rem }
@media screen and (max-width: 38rem) {
  .waterfall, .waterfall tbody { display: block } .waterfall thead { display: none }
  .waterfall tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid
    var(--line); padding: .35rem 0 } .waterfall tr > * { border: 0 !important; padding: 0 }
  .waterfall td.bars { min-height: 1.5rem; width: auto } .lane .cut { bottom: -.35rem }
  .outcome .figures { gap: .6rem 1.2rem } .outcome .figures div { min-width: 0 }
  .waterfall tbody th { grid-column: 1 / -1; width: auto } .waterfall td.number {
    align-self: center; padding-left: .6rem; min-width: 4.6rem }
  .stacked, .stacked tbody { display: block } .stacked thead { display: none }
  .stacked tr { display: block; border-bottom: 1px solid var(--line); padding: .5rem 0 }
  .stacked tr > * { display: block; border: 0; padding: .1rem 0; text-align: left }
  .stacked td[data-label]::before { content: attr(data-label) ": "; color: var(--soft) } }

.tiles { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)) }
.tiles div, .tiles div:nth-child(n) { border-left: 0; padding-left: 0 }
svg { color: var(--ink) } text { stroke: var(--paper) } text.cell { stroke: none }
.grid line, line.grid { stroke: var(--grid) } .axis, .zero { stroke: var(--axis) }
.bar { fill: var(--fill) } .bar.against { fill: var(--orange) } .bar.infavour { fill: var(--blue) }
.bar.rest { fill: var(--axis) } .bar.whole { fill: var(--axis); fill-opacity: .55 }
.lies { fill: var(--lies) } .lies.faint { fill: var(--lies-faint) }
.dot.other { fill: var(--paper) } .mark { stroke: var(--paper) } rect.cell { stroke: var(--paper) }
.zone.decline { fill: var(--red); fill-opacity: .16 } .zone.refer { fill: var(--amber);
  fill-opacity: .16 } .zone.approve { fill: var(--green); fill-opacity: .16 }
text.decline { fill: var(--red) } text.refer { fill: var(--amber) } text.approve {
  fill: var(--green) } text.big { font-size: 15px; font-weight: 600 }
.stage-part.a { fill: #1f5a96 } .stage-part.b { fill: #5b8fc2 } .stage-part.c { fill: #9dbfe0 }
.stem { stroke: var(--ink); stroke-width: 1.6 } .here { fill: var(--ink) }
.join { stroke: var(--axis); stroke-width: 1; stroke-dasharray: 2 2 }
.steps { list-style: none; padding: 0; margin: 0; max-width: none }
.steps > li { border-left: 3px solid var(--line); padding: .1rem 0 .9rem 1rem; margin: 0 }
.steps > li:last-child { padding-bottom: 0 } .steps p { margin: .15rem 0 }
.reasons-told { margin: .2rem 0 .6rem; padding-left: 1.4rem } .reasons-told li { margin: .3rem 0 }
@media screen and (max-width: 38rem) {
  main { padding: 1.1rem .8rem 3rem } header { padding: 0 .8rem }
  .production { margin: 0 -.8rem } .card { padding: .9rem .9rem 1rem; margin-bottom: .8rem }
  header nav a { padding: .5rem .55rem .45rem } header nav a:first-child { margin-left: -.55rem }
  .outcome .figures { margin-left: 0 } .outcome { padding: .9rem }
  h1 { font-size: 1.45rem } td a, th a { white-space: normal } }
@media print { header nav, .actions, form { display: none } .card { box-shadow: none } }
"""

DESK_STYLE = STYLE + OWN
