"""How the page looks, and the little script that sorts its tables; it does without either."""

CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--quiet:#5c6570;--rule:#d9dee4;--paper:#fff;
--panel:#f6f7f9;--accent:#1f5fbf;--anchor:#b26a00;--better:#1a7f64;--worse:#b5472b;--truth:#7b8694;
--ground:#e6e9ed;--best:#e4eefb}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--quiet:#9aa4b0;--rule:#333a43;
--paper:#14171b;--panel:#1c2026;--accent:#7fb0ff;--anchor:#f0a93b;--better:#52c7a5;--worse:#ee8a6d;
--truth:#8f9aa8;--ground:#2a3038;--best:#1d2f4a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.5rem 4rem;max-width:90rem;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.01em}
h2{font-size:1.3rem;margin:3rem 0 .4rem;padding-top:.8rem;border-top:1px solid var(--rule)}
h3{font-size:1.05rem;margin:0 0 .6rem;display:flex;gap:.6rem;align-items:center;flex-wrap:wrap;
overflow-wrap:anywhere}
h4{font-size:.9rem;margin:0;overflow-wrap:anywhere}
p{max-width:48rem;margin:.4rem 0}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:2px}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin-top:1rem}
small,.quiet,.small{color:var(--quiet);font-size:.86em;font-weight:400}
.note{border-left:4px solid #b8860b;padding:.5rem .9rem;background:rgba(184,134,11,.12)}
.facts-row{display:flex;flex-wrap:wrap;gap:.4rem 2.2rem;margin:1rem 0;padding:0}
.facts-row div{display:flex;flex-direction:column-reverse}
.facts-row dt{color:var(--quiet);font-size:.86em}
.facts-row dd{margin:0;font-size:1.5rem;line-height:1.15}
.note{background:var(--panel);border-left:3px solid var(--accent);padding:.7rem 1rem;margin:1rem 0;
max-width:48rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.8rem 0;min-width:min(100%,40rem)}
th,td{text-align:left;vertical-align:top;padding:.35rem 1rem .35rem 0;
border-bottom:1px solid var(--rule);overflow-wrap:anywhere;min-width:3.5rem}
thead th{font-size:.86em;color:var(--quiet);font-weight:600;border-bottom-color:var(--quiet);
vertical-align:bottom}
tbody th{font-weight:600;min-width:9rem;max-width:22rem}
th small{display:block}
.n{text-align:right;white-space:nowrap;padding-right:1.4rem}
.results td.n,.results th.n{padding:.45rem .7rem;min-width:5.2rem}
.results .change{display:block;font-size:.86em}
.meanings{display:flex;flex-wrap:wrap;gap:.1rem 1.4rem;margin:.4rem 0;max-width:60rem}
.meanings div{display:flex;gap:.4rem}.meanings dt{font-weight:600}.meanings dd{margin:0}
.best{background:var(--best)}
.change.up{color:var(--better)}.change.down{color:var(--worse)}.change.same{color:var(--quiet)}
.audit{width:100%}.audit ul{margin:0;padding:0;list-style:none}
.audit tbody{border-bottom:1px solid var(--rule)}.audit tbody tr:not(:last-child) td{border:0}
th button{all:unset;cursor:pointer}th button:focus-visible{outline:2px solid var(--accent)}
th button::after{content:" ↕";opacity:.45}
th[aria-sort=ascending] button::after{content:" ↑";opacity:1}
th[aria-sort=descending] button::after{content:" ↓";opacity:1}
.gains{display:block;width:100%;height:9rem;background:var(--panel);margin:.6rem 0 .2rem}
.better{fill:var(--better)}.worse{fill:var(--worse)}
.zero{stroke:var(--quiet);vector-effect:non-scaling-stroke;fill:none}
figure.wide{margin:1.4rem 0 0;max-width:60rem}
article{background:var(--panel);border:1px solid var(--rule);border-radius:8px;
padding:1rem 1.1rem;margin:1.2rem 0;scroll-margin-top:1rem}
article:target{border-color:var(--accent)}
.swatch{width:.85rem;height:.85rem;border-radius:3px;background:var(--hue);
border:1px solid var(--quiet)}
.store{position:absolute;width:0;height:0}
.strip{display:grid;grid-template-columns:9.4rem repeat(var(--shots),minmax(6.2rem,1fr));
gap:.35rem .4rem;margin:0 0 1.1rem}
.strip:last-child{margin-bottom:.2rem}
.facts{font-size:.78rem;line-height:1.3;padding-right:.4rem;color:var(--quiet)}
.facts p{margin:0}.facts h4,.facts b{color:var(--ink)}.facts b{font-size:1.1rem}
.facts .details{display:grid;grid-template-columns:1fr 1fr;gap:0 .5rem;white-space:nowrap;
font-size:.72rem}
sub{line-height:0}
.shot{margin:0;min-width:0}
.shot svg{display:block;width:100%;height:auto;border-radius:4px}
.shot.given svg{box-shadow:0 0 0 2px var(--accent)}
.shot.anchor svg{box-shadow:0 0 0 2px var(--anchor)}
.shot path,.key path{fill:none;stroke-linejoin:round;stroke-linecap:round;
vector-effect:non-scaling-stroke}
path.halo{stroke:#000;stroke-opacity:.55;stroke-width:3.4}
.shot path.mask,.key path.mask{stroke:var(--hue);stroke-width:1.6;fill:var(--hue);
fill-opacity:.32;fill-rule:evenodd}
.shot.given path.mask{fill-opacity:.12;stroke-width:2.2}
path.truth{stroke:#fff;stroke-width:1.2;stroke-dasharray:3 2.4}
path.mined{stroke:#ffb020;stroke-width:1.5;stroke-dasharray:1 3}
figcaption{display:flex;flex-wrap:wrap;gap:0 .45rem;font-size:.75rem;line-height:1.35;
margin-top:.2rem;color:var(--quiet)}
.wide figcaption{font-size:.86rem;gap:0 1.2rem}
.tag{font-weight:600}.tag.given{color:var(--accent)}.tag.anchor{color:var(--anchor)}
.state{margin-left:auto;color:var(--ink)}.state.wrong{color:var(--worse);font-weight:600}
.course{grid-column:1/-1;display:grid;grid-template-columns:9.4rem 1fr;gap:.4rem}
.reasons{grid-column:2/-1;margin:.1rem 0 0;padding:0;list-style:none;display:flex;flex-wrap:wrap;
gap:0 1.4rem;font-size:.75rem;color:var(--quiet)}.reasons b{color:var(--anchor)}
.lanes{font-size:.66rem;line-height:10px;color:var(--quiet);text-align:right;
display:flex;flex-direction:column}
.lanes span:first-child{line-height:26px;margin-bottom:1px}
.time{display:block;width:100%}
.ground{fill:var(--ground)}.curve{fill:var(--quiet);fill-opacity:.55}
.predicted{fill:var(--hue);stroke:none}
@media (prefers-color-scheme:light){.predicted{filter:brightness(.82)}}
.true{fill:var(--truth)}
.tick{fill:none;vector-effect:non-scaling-stroke;stroke-width:2}
.tick.shown{stroke:var(--quiet);stroke-width:1}.tick.anchor{stroke:var(--anchor)}
.tick.given{stroke:var(--accent)}
.key{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;list-style:none;margin:.8rem 0;padding:0;
font-size:.86rem;--hue:#ff6a5c}
.key li{display:flex;gap:.5rem;align-items:center}
.key svg{width:34px;height:20px;background:#4a525c;border-radius:3px}
.key svg.plain{background:var(--ground)}
footer{margin-top:3rem;border-top:1px solid var(--rule);padding-top:.8rem;color:var(--quiet);
font-size:.86rem}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@page{size:landscape;margin:1cm}
@media print{:root{color-scheme:light;font-size:11px;--ink:#000;--paper:#fff;--panel:#fff}
body{max-width:none;padding:0;font-size:1rem;print-color-adjust:exact;
-webkit-print-color-adjust:exact}
article,tr,.strip{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}
nav{display:none}}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, i) => {
    const text = row.cells[i].textContent.trim().replace("\\u2212", "-");
    return text === "" || isNaN(text) ? (text === "n/a" ? -Infinity : text) : Number(text);
  };
  const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), undefined, {numeric: true});
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => order(value(a, i), value(b, i)) * (up ? 1 : -1));
      body.append(...rows);
    });
  });
}
"""
